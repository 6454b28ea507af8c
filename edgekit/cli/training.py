"""The progress of a training run on stderr: a live bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.cli.console import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from edgekit.train.stages.driving import CurvePoint, Observer, StepReport

_LOG_INTERVAL_S = 20


def _figures(point: CurvePoint) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {v:.3f}" for name, v in point.held_out.items())


class LogObserver:
    """For logs and pipes: `masks 120/2400 small: loss 2.013, 1.3 s per step`."""

    def __init__(self) -> None:
        self._console = console("stderr")
        self._stage, self._steps, self._logged_at = "", 0, 0.0

    def stage_started(self, stage: str, *, step: int, steps: int) -> None:
        """Print whether the stage starts or resumes."""
        self._stage, self._steps, self._logged_at = stage, steps, time.monotonic()
        self._print(f"{stage}: {f'resumes at step {step}' if step else 'starts'}, {steps} steps")

    def step_done(self, report: StepReport, *, loss: float) -> None:
        """Print a line every 20 seconds, and for the last step."""
        if time.monotonic() - self._logged_at < _LOG_INTERVAL_S and report.step != self._steps:
            return
        self._logged_at = time.monotonic()
        where = f"{self._stage} {report.step}/{self._steps} {report.phase}"
        self._print(f"{where}: loss {loss:.3f}, {report.seconds:.1f} s per step")

    def measured(self, point: CurvePoint) -> None:
        """Print the held-out figures."""
        self._print(f"{self._stage} {point.step}/{self._steps} held-out: {_figures(point)}")

    def warning(self, text: str) -> None:
        """Print a warning."""
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._console.print(text)


class BarObserver:
    """For terminals: a bar per stage, with its loss and the latest held-out figures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage_started(self, stage: str, *, step: int, steps: int) -> None:
        """Add a bar."""
        self._task = self._progress.add_task(
            stage, completed=step, total=steps, loss="", held_out=""
        )

    def step_done(self, report: StepReport, *, loss: float) -> None:
        """Advance the bar."""
        if self._task is not None:
            text = f"{report.phase} loss {loss:.3f}"
            self._progress.update(self._task, completed=report.step, loss=text)

    def measured(self, point: CurvePoint) -> None:
        """Show the figures beside the bar."""
        if self._task is not None:
            self._progress.update(self._task, held_out=_figures(point))

    def warning(self, text: str) -> None:
        """Print a warning above the bars."""
        self._progress.console.print(f"warning: {text}")


@contextmanager
def observing() -> Iterator[Observer]:
    """The observer that suits stderr, for the duration of one command."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    stderr = console("stderr")
    if not stderr.is_terminal:
        yield LogObserver()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
        TextColumn("held-out {task.fields[held_out]}", markup=False),
    )
    with Progress(*columns, console=stderr) as progress:
        yield BarObserver(progress)
