"""The training loop: steps of a recipe, an averaged copy of the weights, checkpoints to resume.

Every random choice is a function of (seed, step), so a resumed run continues as if it had never
stopped.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.train.annotations import AnnotatedPhoto
from edgekit.train.batches import Batch, make_batch
from edgekit.train.correction import corrected
from edgekit.train.distillation import FeatureDistillation, StageReader
from edgekit.train.forward import Student
from edgekit.train.losses import hard_iou, prompt_loss
from edgekit.train.recipe import Phase, Recipe

_AVERAGED_EVERY = 5
_DISTILLED_EVERY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What happened in a step; IoU is that of the training prompts, mask 0."""

    step: int
    phase: str
    loss: float
    box_iou: float
    point_iou: float
    seconds: float


class Trainer:
    """State of a run: student, its average, optimizer, step."""

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        photos: Sequence[AnnotatedPhoto],
        *,
        seed: int,
        distillation: FeatureDistillation | None = None,
    ) -> None:
        self.student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe, self.photos, self.seed = recipe, photos, seed
        self.distillation = distillation
        self.step = 0
        self.average = copy.deepcopy(student).requires_grad_(False).eval()
        self.reader = (
            StageReader(student.encoder, [f"backbone.layer{i}" for i in (1, 2, 3, 4)])
            if distillation
            else None
        )
        self.optimizer = torch.optim.AdamW(
            self._groups(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )

    def _groups(self) -> list[dict[str, Any]]:
        backbone, rest = [], []
        for name, parameter in self.student.named_parameters():
            if parameter.requires_grad:
                (backbone if "encoder.backbone" in name else rest).append(parameter)
        if self.distillation:
            rest.extend(self.distillation.parameters())
        return [
            {"params": backbone, "peak": self.recipe.backbone_rate},
            {"params": rest, "peak": self.recipe.rate},
        ]

    def _rate(self) -> float:
        """Warm-up, then a cosine to 2 % of the peak."""
        done = min(self.step / self.recipe.steps, 1.0)
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
        return min(1.0, (self.step + 1) / self.recipe.warmup) * cosine

    def run_step(self) -> StepReport:
        """One optimisation step."""
        started = time.perf_counter()
        phase = self.recipe.phase(self.step)
        rng = np.random.default_rng([self.seed, self.step])
        shape = phase.menu[rng.choice(len(phase.menu), p=[chance for chance, _ in phase.menu])][1]
        batch = make_batch(self.photos, rng, shape=shape, style=phase.style, mix=phase.mix)
        self._set_mode(phase)
        loss, iou = self._loss(batch, phase, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._update()
        return self._report(batch, phase, loss, iou, time.perf_counter() - started)

    def _set_mode(self, phase: Phase) -> None:
        self.student.train()
        if phase.frozen_norm:
            for module in self.student.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _loss(self, batch: Batch, phase: Phase, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = self.student.embed(batch)
            logits, scores = self.student.decode(embeddings, batch)
            loss = prompt_loss(logits, scores, batch.targets, phase.loss, ambiguous=batch.single)
            if rng.random() < phase.corrections:
                generator = torch.Generator().manual_seed(self.seed + self.step)
                again = corrected(batch, logits[:, 0].detach(), generator)
                redone, scores = self.student.decode(embeddings, again, logits[:, :1].detach())
                loss = loss + prompt_loss(
                    redone, scores, batch.targets, phase.loss, ambiguous=again.single
                )
            if self.distillation and self.reader:
                stages = self.reader.take()
                if phase.distil > 0 and self.step % _DISTILLED_EVERY == 0:
                    scaled = batch.rgb / 127.5 - 1
                    loss = loss + phase.distil * self.distillation(stages, scaled, (0.5, 0.7, 1, 1))
        return loss, hard_iou(logits.detach()[:, :1], batch.targets)[:, 0]

    def _update(self) -> None:
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["peak"]
        nn.utils.clip_grad_norm_(self.student.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        if self.step % _AVERAGED_EVERY:
            return
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step)) ** _AVERAGED_EVERY
        with torch.no_grad():
            ours, theirs = self.average.state_dict(), self.student.state_dict()
            for name, value in ours.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[name], 1 - keep)

    def _report(
        self, batch: Batch, phase: Phase, loss: Tensor, iou: Tensor, seconds: float
    ) -> StepReport:
        boxed = (batch.labels == 2).any(dim=1)
        pointed = batch.single > 0
        return StepReport(
            step=self.step,
            phase=phase.name,
            loss=float(loss.detach()),
            box_iou=float(iou[boxed].mean()) if boxed.any() else math.nan,
            point_iou=float(iou[pointed].mean()) if pointed.any() else math.nan,
            seconds=seconds,
        )

    def save(self, path: Path, history: list[dict[str, Any]]) -> None:
        """Write a checkpoint; an interrupted write leaves the former one."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "distillation": self.distillation.state_dict() if self.distillation else None,
            "step": self.step,
            "seed": self.seed,
            "history": history,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def resume(self, path: Path) -> list[dict[str, Any]]:
        """Continue from a checkpoint; returns the history so far."""
        state = torch.load(path, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.distillation and state["distillation"]:
            self.distillation.load_state_dict(state["distillation"])
        self.step, self.seed = state["step"], state["seed"]
        history: list[dict[str, Any]] = state["history"]
        return history


def run(trainer: Trainer, *, until: int, on_step: Callable[[StepReport], None]) -> None:
    """Step until the given step."""
    while trainer.step < until:
        on_step(trainer.run_step())
