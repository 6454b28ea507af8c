"""What a stage of training is, and the loop that drives one: resume, look, save.

A stage is either a teacher's (`teaching.TeacherStage`) or the one with masks (`loop.Trainer`).
Every random choice of a stage is a function of (seed, step), so a resumed stage continues as if it
had never stopped.
"""

from __future__ import annotations

import io
import pickle
import struct
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from edgekit.errors import BadInput
from edgekit.store import write_atomic

_SAVED_EVERY_S = 180
_LOOKS = 12
"""How often a stage is measured on held-out photos."""
_POINTS = 200
"""How many points its loss curve has."""
_SMOOTHING = 0.97

# What torch.load raises on files that are cut off, overwritten or something else.
_DAMAGED = (
    OSError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
    pickle.UnpicklingError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What happened in a step."""

    step: int
    phase: str
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point of the curves: smoothed loss, and the held-out figures where they were taken."""

    step: int
    phase: str
    loss: float
    held_out: dict[str, float]


class Stage(Protocol):
    """A stage that can be stepped, measured and kept."""

    name: str
    steps: int
    step: int

    def run_step(self) -> StepReport:
        """One optimisation step."""
        ...

    def held_out(self) -> dict[str, float]:
        """Figures on photos that are not trained on."""
        ...

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, tensors and plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        ...


class Watch(Protocol):
    """Whoever follows a run."""

    def begin(self, stage: str, *, step: int, steps: int) -> None:
        """A stage begins, or continues at `step`."""

    def stepped(self, report: StepReport, *, loss: float) -> None:
        """A step was done; `loss` is smoothed."""

    def looked(self, mark: Mark) -> None:
        """Held-out figures were taken."""


def drive(
    stage: Stage, checkpoint: Path, *, settings: Mapping[str, str], watch: Watch
) -> list[Mark]:
    """Run a stage to its end, from its checkpoint if there is one.

    Args:
        stage: fresh, as made from the settings.
        checkpoint: is written every three minutes and at the end.
        settings: what the run was asked for; a checkpoint of other settings is refused.
        watch: is told of every step.

    Raises:
        BadInput: the checkpoint is of another run, or damaged.
    """
    kept = _read(checkpoint, settings)
    if kept:
        stage.restore(kept["stage"])
    marks = [Mark(**mark) for mark in kept["marks"]] if kept else []
    phase, loss = kept["smoothed"] if kept else ("", 0.0)
    watch.begin(stage.name, step=stage.step, steps=stage.steps)
    saved = time.monotonic()
    while stage.step < stage.steps:
        report = stage.run_step()
        # A phase has its own loss: a mean over two of them says nothing.
        loss = (
            loss + (1 - _SMOOTHING) * (report.loss - loss) if phase == report.phase else report.loss
        )
        phase = report.phase
        watch.stepped(report, loss=loss)
        marks.extend(_marks(stage, phase, loss, watch))
        if stage.step >= stage.steps or time.monotonic() - saved > _SAVED_EVERY_S:
            state = {
                "stage": stage.state(),
                "marks": [asdict(mark) for mark in marks],
                "smoothed": (phase, loss),
                "settings": dict(settings),
            }
            _write(checkpoint, state)
            saved = time.monotonic()
    return marks


def _marks(stage: Stage, phase: str, loss: float, watch: Watch) -> list[Mark]:
    look = stage.step % max(stage.steps // _LOOKS, 1) == 0 or stage.step == stage.steps
    if not look and stage.step % max(stage.steps // _POINTS, 1):
        return []
    held_out = stage.held_out() if look else {}
    mark = Mark(step=stage.step, phase=phase, loss=loss, held_out=held_out)
    if held_out:
        watch.looked(mark)
    return [mark]


def _write(path: Path, state: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(path, buffer.getvalue())


def _read(path: Path, settings: Mapping[str, str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        theirs = state["settings"]
    except _DAMAGED as error:
        raise BadInput(
            f"The checkpoint {path} is damaged or not of `edgekit train`.",
            next_step="delete it to train from the start, or give another --out",
        ) from error
    if different := [name for name in settings if settings[name] != theirs.get(name)]:
        raise BadInput(
            f"{path.parent} holds a run with another {', '.join(different)}.",
            expected="the same settings, to continue it (the number of steps may change)",
            next_step="give another --out, or delete the folder",
        )
    return state
