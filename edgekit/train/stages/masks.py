"""The stage with masks: it follows a schedule and averages the weights; the average is shipped."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.train.data.batches import Batch, BatchSize, make_batch
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.correction import add_correction
from edgekit.train.data.random_numbers import Purpose, generator_for, uniform
from edgekit.train.stages.arithmetic import step_autocast
from edgekit.train.stages.driving import StepReport
from edgekit.train.stages.held_out import held_out_iou
from edgekit.train.stages.losses import prompt_loss
from edgekit.train.stages.schedule import Phase, Schedule
from edgekit.train.stages.student import Student
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs

_AVERAGE_INTERVAL = 5  # steps
_DISTIL_INTERVAL = 2  # steps
_NEW_PARTS = (
    "encoder.up_1.",
    "encoder.proj.",
    "encoder.neck.",
    "encoder.pos_embedding",
    "decoder.",
)
"""Parameters that learn at the full rate; the rest is the backbone, which a teacher trained."""


class MaskStage:
    """The student, the average of its weights, the optimizer and the step.

    Args:
        student: trained in place, on its device.
        schedule: the phases.
        photos: to train on, on the same device.
        held_out: to be measured on.
        seed: of all random choices.
        distillation: adds its loss in the phases whose `distil` is above 0.
    """

    name = "masks"

    def __init__(
        self,
        student: Student,
        schedule: Schedule,
        photos: Canvases,
        *,
        held_out: Canvases,
        seed: int,
        distillation: FeatureDistillation | None = None,
    ) -> None:
        self.student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.step, self.steps = 0, schedule.steps
        self._schedule, self._photos, self._held_out, self._seed = schedule, photos, held_out, seed
        self._distillation = distillation
        self._device = next(student.parameters()).device
        self._optimizer = torch.optim.AdamW(
            self._groups(), betas=(0.9, 0.98), weight_decay=schedule.weight_decay, fused=True
        )

    def _groups(self) -> list[dict[str, Any]]:
        backbone: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.student.named_parameters():
            (rest if name.startswith(_NEW_PARTS) else backbone).append(parameter)
        if self._distillation:
            rest.extend(self._distillation.parameters())
        return [
            {"params": backbone, "peak": self._schedule.backbone_rate},
            {"params": rest, "peak": self._schedule.rate},
        ]

    def run_step(self) -> StepReport:
        """Run one optimisation step."""
        started = time.perf_counter()
        phase = self._schedule.phase(self.step)
        # What decides which step this is comes from the CPU, so that a GPU is not waited for.
        choices = generator_for(Purpose.CHOICES, self._seed, self.step, device=torch.device("cpu"))
        generator = generator_for(Purpose.BATCHES, self._seed, self.step, device=self._device)
        shape = _chosen_size(phase, choices)
        batch = make_batch(self._photos, generator, shape=shape, style=phase.style, mix=phase.mix)
        self._set_mode(phase)
        with step_autocast(self._device):
            loss = self._loss(batch, phase, choices, generator)
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

    def _loss(
        self, batch: Batch, phase: Phase, choices: torch.Generator, generator: torch.Generator
    ) -> Tensor:
        distils = self._distillation and phase.distil > 0 and self.step % _DISTIL_INTERVAL == 0
        with stage_outputs(self.student.encoder, BACKBONE_STAGES if distils else ()) as stages:
            embeddings = self.student.embed(batch)
        logits, scores = self.student.decode(embeddings, batch)
        loss = _mean_loss(logits, scores, batch, phase)
        if float(uniform(0, 1, (1,), choices)) < phase.corrections:
            second = add_correction(batch, logits[:, 0].detach(), generator)
            refined, scores = self.student.decode(embeddings, second, logits[:, :1].detach())
            loss = loss + _mean_loss(refined, scores, second, phase)
        if self._distillation and distils:
            loss = loss + phase.distil * self._distillation(stages, batch.rgb)
        return loss

    def _rate(self) -> float:
        """The share of the peak rate: warm-up, then a cosine to 2 %."""
        done = min(self.step / self.steps, 1.0)
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
        return min(1.0, (self.step + 1) / self._schedule.warmup) * cosine

    def _update(self) -> None:
        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["peak"]
        nn.utils.clip_grad_norm_(self.student.parameters(), self._schedule.clip)
        self._optimizer.step()
        self.step += 1
        if self.step % _AVERAGE_INTERVAL == 0:
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        """Update the exponential average; it spans few steps at first, to forget the beginning."""
        recent = (1 + self.step) / (10 + self.step)
        keep = min(self._schedule.average, recent) ** _AVERAGE_INTERVAL
        ours, theirs = self.average.state_dict(), self.student.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - keep)

    def held_out(self) -> dict[str, float]:
        """Mean IoU of the averaged student for each kind of prompt."""
        return asdict(held_out_iou(self.average, self._held_out)) if len(self._held_out) else {}

    def state(self) -> dict[str, Any]:
        """Weights, average, optimizer and step."""
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


def _chosen_size(phase: Phase, choices: torch.Generator) -> BatchSize:
    chances = torch.tensor([chance for chance, _ in phase.sizes])
    return phase.sizes[int(torch.multinomial(chances, 1, generator=choices))][1]


def _mean_loss(logits: Tensor, scores: Tensor, batch: Batch, phase: Phase) -> Tensor:
    """The mean loss of the prompts that there is something to learn from."""
    losses = prompt_loss(logits, scores, batch.targets, phase.loss, ambiguous=batch.single)
    usable = batch.usable.to(losses.dtype)
    return (losses * usable).sum() / usable.sum().clamp(min=1)
