"""A stage that trains with one loss: a teacher's, or a proposal network's."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.train.stages.arithmetic import step_autocast
from edgekit.train.stages.driving import StepReport

_WARMUP = 40


class Lesson(nn.Module):
    """A loss to train with, such as a teacher's. Its submodules are exactly what is trained."""

    name: str
    rate: float

    def loss(self, step: int) -> Tensor:
        """The loss on this step's photos."""
        raise NotImplementedError

    def held_out(self) -> dict[str, float]:
        """Measure on photos that are not trained on."""
        raise NotImplementedError


class LessonStage:
    """Trains with a lesson by AdamW: warm-up, then a cosine to 5 % of the lesson's rate."""

    def __init__(self, lesson: Lesson, *, steps: int) -> None:
        self.lesson, self.steps, self.step = lesson, steps, 0
        self.name = lesson.name
        self._parameters = list(lesson.parameters())
        self._device = self._parameters[0].device
        self._optimizer = torch.optim.AdamW(self._parameters, weight_decay=0.02)

    def run_step(self) -> StepReport:
        """Run one optimisation step."""
        started = time.perf_counter()
        self.lesson.train()
        with step_autocast(self._device):
            loss = self.lesson.loss(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self.lesson.rate * self._decay()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.step += 1
        seconds = time.perf_counter() - started
        return StepReport(
            step=self.step, phase=self.name, loss=float(loss.detach()), seconds=seconds
        )

    def _decay(self) -> float:
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        return min(1.0, (self.step + 1) / _WARMUP) * cosine

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The lesson's figures, in eval mode."""
        self.lesson.eval()
        with step_autocast(self._device):
            return self.lesson.held_out()

    def state(self) -> dict[str, Any]:
        """Weights, optimizer and step."""
        return {
            "lesson": self.lesson.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.lesson.load_state_dict(state["lesson"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
