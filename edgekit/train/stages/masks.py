"""The stage with masks: steps of a recipe, and an average of the weights, which is shipped."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.train.data.annotations import AnnotatedPhoto
from edgekit.train.data.batches import Batch, make_batch
from edgekit.train.data.correction import corrected
from edgekit.train.stages.driving import StepReport
from edgekit.train.stages.held_out import held_out_iou
from edgekit.train.stages.losses import prompt_loss
from edgekit.train.stages.recipe import Phase, Recipe
from edgekit.train.stages.student import Student
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs

_AVERAGED_EVERY = 5
_DISTILLED_EVERY = 2
_NEW_PARTS = (
    "encoder.up_1.",
    "encoder.proj.",
    "encoder.neck.",
    "encoder.pos_embedding",
    "decoder.",
)
"""What learns at the full rate; the rest is the encoder's backbone, which came pre-trained."""


class Trainer:
    """State of the stage: student, its average, optimizer, step.

    Args:
        student: is trained in place, on its device.
        recipe: what happens at which step.
        photos: to train on.
        held: to be measured on.
        seed: of all random choices.
        distillation: goes on hinting at features in the phases that ask for it.
    """

    name = "masks"

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        photos: Sequence[AnnotatedPhoto],
        *,
        held: Sequence[AnnotatedPhoto],
        seed: int,
        distillation: FeatureDistillation | None = None,
    ) -> None:
        self.student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.step, self.steps = 0, recipe.steps
        self._recipe, self._photos, self._held, self._seed = recipe, photos, held, seed
        self._distillation = distillation
        self._device = next(student.parameters()).device
        self._optimizer = torch.optim.AdamW(
            self._groups(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )

    def _groups(self) -> list[dict[str, Any]]:
        backbone: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.student.named_parameters():
            (rest if name.startswith(_NEW_PARTS) else backbone).append(parameter)
        if self._distillation:
            rest.extend(self._distillation.parameters())
        return [
            {"params": backbone, "peak": self._recipe.backbone_rate},
            {"params": rest, "peak": self._recipe.rate},
        ]

    def run_step(self) -> StepReport:
        """One optimisation step."""
        started = time.perf_counter()
        phase = self._recipe.phase(self.step)
        rng = np.random.default_rng([self._seed, self.step])
        shape = phase.menu[rng.choice(len(phase.menu), p=[chance for chance, _ in phase.menu])][1]
        batch = make_batch(self._photos, rng, shape=shape, style=phase.style, mix=phase.mix)
        self._set_mode(phase)
        with torch.autocast(self._device.type, torch.bfloat16):
            loss = self._loss(batch.to(self._device), phase, rng)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._update()
        seconds = time.perf_counter() - started
        return StepReport(
            step=self.step, phase=phase.name, loss=float(loss.detach()), seconds=seconds
        )

    def _set_mode(self, phase: Phase) -> None:
        self.student.train()
        if phase.frozen_norm:
            for module in self.student.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _loss(self, batch: Batch, phase: Phase, rng: np.random.Generator) -> Tensor:
        hinted = self._distillation and phase.distil > 0 and self.step % _DISTILLED_EVERY == 0
        with stage_outputs(self.student.encoder, BACKBONE_STAGES if hinted else ()) as stages:
            embeddings = self.student.embed(batch)
        logits, scores = self.student.decode(embeddings, batch)
        loss = prompt_loss(logits, scores, batch.targets, phase.loss, ambiguous=batch.single)
        if rng.random() < phase.corrections:
            generator = torch.Generator().manual_seed(self._seed + self.step)
            again = corrected(batch, logits[:, 0].detach(), generator)
            redone, scores = self.student.decode(embeddings, again, logits[:, :1].detach())
            loss = loss + prompt_loss(
                redone, scores, batch.targets, phase.loss, ambiguous=again.single
            )
        if self._distillation and hinted:
            loss = loss + phase.distil * self._distillation(stages, batch.rgb)
        return loss

    def _rate(self) -> float:
        """Warm-up, then a cosine to 2 % of the peak."""
        done = min(self.step / self.steps, 1.0)
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
        return min(1.0, (self.step + 1) / self._recipe.warmup) * cosine

    def _update(self) -> None:
        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["peak"]
        nn.utils.clip_grad_norm_(self.student.parameters(), self._recipe.clip)
        self._optimizer.step()
        self.step += 1
        if self.step % _AVERAGED_EVERY == 0:
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential, over few steps at first so that the beginning is soon forgotten."""
        recent = (1 + self.step) / (10 + self.step)
        keep = min(self._recipe.average, recent) ** _AVERAGED_EVERY
        ours, theirs = self.average.state_dict(), self.student.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - keep)

    def held_out(self) -> dict[str, float]:
        """Mean IoU of the averaged student per kind of prompt."""
        return asdict(held_out_iou(self.average, self._held)) if self._held else {}

    def state(self) -> dict[str, Any]:
        """Weights, optimizer and step."""
        return {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "distillation": self._distillation.state_dict() if self._distillation else None,
            "step": self.step,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._distillation:
            self._distillation.load_state_dict(state["distillation"])
        self.step = state["step"]
