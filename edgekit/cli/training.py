"""How a training run is followed on stderr: a live bar on a terminal, a line now and then else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.cli.console import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from edgekit.train.stages.driving import Mark, StepReport, Watch

_EVERY_S = 20
"""Between two lines of a log."""


def _figures(mark: Mark) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {v:.3f}" for name, v in mark.held_out.items())


class PlainWatch:
    """For logs and pipes: `masks 120/2400 small: loss 2.013, 1.3 s a step`."""

    def __init__(self) -> None:
        self._console = console("stderr")
        self._stage, self._steps, self._told = "", 0, 0.0

    def begin(self, stage: str, *, step: int, steps: int) -> None:
        """Say what begins or goes on."""
        self._stage, self._steps, self._told = stage, steps, time.monotonic()
        self._say(f"{stage}: {f'goes on at step {step}' if step else 'begins'}, {steps} steps")

    def stepped(self, report: StepReport, *, loss: float) -> None:
        """A line every 20 seconds."""
        if time.monotonic() - self._told < _EVERY_S and report.step != self._steps:
            return
        self._told = time.monotonic()
        where = f"{self._stage} {report.step}/{self._steps} {report.phase}"
        self._say(f"{where}: loss {loss:.3f}, {report.seconds:.1f} s a step")

    def looked(self, mark: Mark) -> None:
        """A line with the held-out figures."""
        self._say(f"{self._stage} {mark.step}/{self._steps} held-out: {_figures(mark)}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)


class LiveWatch:
    """For terminals: a bar per stage with its loss and the last held-out figures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, stage: str, *, step: int, steps: int) -> None:
        """A new bar."""
        self._task = self._progress.add_task(
            stage, completed=step, total=steps, loss="", held_out=""
        )

    def stepped(self, report: StepReport, *, loss: float) -> None:
        """Fill it."""
        if self._task is not None:
            text = f"{report.phase} loss {loss:.3f}"
            self._progress.update(self._task, completed=report.step, loss=text)

    def looked(self, mark: Mark) -> None:
        """Show the figures beside it."""
        if self._task is not None:
            self._progress.update(self._task, held_out=_figures(mark))


@contextmanager
def watching() -> Iterator[Watch]:
    """The watch that fits where stderr goes, for the length of one command."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    stderr = console("stderr")
    if not stderr.is_terminal:
        yield PlainWatch()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("held-out {task.fields[held_out]}"),
    )
    with Progress(*columns, console=stderr) as progress:
        yield LiveWatch(progress)
