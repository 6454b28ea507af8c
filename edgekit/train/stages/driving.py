"""What a training stage is, and the loop that drives one: resume, step, measure, save.

A stage trains with one loss (`lesson.LessonStage`) or with masks (`masks.MaskStage`). Every random
choice of a stage is a function of (seed, step), so a resumed stage continues as if it had never
stopped.
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

_SAVE_INTERVAL_S = 180
_MEASUREMENTS = 12
"""How often a stage is measured on held-out photos."""
_CURVE_POINTS = 200
"""How many points its loss curve has."""
_SMOOTHING = 0.97

# What torch.load raises for a file that is truncated, overwritten or of another kind.
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
    """One optimisation step: its number (from 1), phase, loss and duration."""

    step: int
    phase: str
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point of the curves: the smoothed loss, and the held-out figures if they were measured."""

    step: int
    phase: str
    loss: float
    held_out: dict[str, float]


class Stage(Protocol):
    """A stage that can be stepped, measured, saved and restored."""

    name: str
    steps: int
    step: int

    def run_step(self) -> StepReport:
        """Run one optimisation step."""
        ...

    def held_out(self) -> dict[str, float]:
        """Measure on photos that are not trained on."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as tensors and plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        ...


class Observer(Protocol):
    """Receives the progress of a run."""

    def stage_started(self, stage: str, *, step: int, steps: int) -> None:
        """A stage starts, or resumes at `step`."""

    def step_done(self, report: StepReport, *, loss: float) -> None:
        """A step is done; `loss` is smoothed."""

    def measured(self, point: CurvePoint) -> None:
        """Held-out figures were measured."""

    def warning(self, text: str) -> None:
        """The run goes on, but without something the user may expect."""


def drive(
    stage: Stage, checkpoint: Path, *, settings: Mapping[str, str], observer: Observer
) -> list[CurvePoint]:
    """Run a stage to its end, from its checkpoint if there is one.

    Args:
        stage: freshly built from the settings.
        checkpoint: written every three minutes and at the end.
        settings: of the run; a checkpoint with other settings is refused.
        observer: told about every step.

    Raises:
        BadInput: the checkpoint belongs to another run, or is damaged.
    """
    saved = _read(checkpoint, settings)
    if saved:
        stage.restore(saved["stage"])
    curve = [CurvePoint(**point) for point in saved["curve"]] if saved else []
    phase, loss = saved["smoothed"] if saved else ("", 0.0)
    observer.stage_started(stage.name, step=stage.step, steps=stage.steps)
    saved_at = time.monotonic()
    while stage.step < stage.steps:
        report = stage.run_step()
        loss = _smoothed(loss, report, same_phase=phase == report.phase)
        phase = report.phase
        observer.step_done(report, loss=loss)
        curve.extend(_curve_points(stage, phase, loss, observer))
        if stage.step >= stage.steps or time.monotonic() - saved_at > _SAVE_INTERVAL_S:
            state = {
                "stage": stage.state(),
                "curve": [asdict(point) for point in curve],
                "smoothed": (phase, loss),
                "settings": dict(settings),
            }
            _write(checkpoint, state)
            saved_at = time.monotonic()
    return curve


def _smoothed(loss: float, report: StepReport, *, same_phase: bool) -> float:
    """The running mean. It starts again with each phase, because phases have different losses."""
    return loss + (1 - _SMOOTHING) * (report.loss - loss) if same_phase else report.loss


def _curve_points(stage: Stage, phase: str, loss: float, observer: Observer) -> list[CurvePoint]:
    """The point of this step, if it has one."""
    measure = stage.step % max(stage.steps // _MEASUREMENTS, 1) == 0 or stage.step == stage.steps
    if not measure and stage.step % max(stage.steps // _CURVE_POINTS, 1):
        return []
    held_out = stage.held_out() if measure else {}
    point = CurvePoint(step=stage.step, phase=phase, loss=loss, held_out=held_out)
    if held_out:
        observer.measured(point)
    return [point]


def _write(path: Path, state: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(path, buffer.getvalue())


def _read(path: Path, settings: Mapping[str, str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        state = {key: saved[key] for key in ("stage", "curve", "smoothed", "settings")}
        earlier = state["settings"]
        changed = [name for name in settings if settings[name] != earlier.get(name)]
    except _DAMAGED as error:
        raise BadInput(
            f"The checkpoint {path} is damaged, or was not written by this `edgekit train`.",
            next_step="delete it to train from the start, or give another --out",
        ) from error
    if changed:
        raise BadInput(
            f"{path.parent} holds a run with another {', '.join(changed)}.",
            expected="the same settings, to resume that run (only the number of steps may change)",
            next_step="give another --out, or delete the folder",
        )
    return state
