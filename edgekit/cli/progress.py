"""Progress on stderr: live lines on a terminal, one plain line per stage in logs and pipes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.cli.console import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from edgekit.report import Report


class PlainReport:
    """For logs and pipes: one line per finished stage, such as `graphs: 3.2 s`."""

    def __init__(self) -> None:
        self._console = console("stderr")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Print the name and the seconds of a stage when it ends without an error."""
        start = time.monotonic()
        yield
        self._console.print(f"{name}: {time.monotonic() - start:.1f} s")

    def progress(self, done: int, total: int | None) -> None:
        """Print nothing: a log needs no counter."""

    def warning(self, text: str) -> None:
        """Print a framed warning."""
        _print_warning(self._console, text)


class LiveReport:
    """For terminals: a line per stage with a spinner, a bar if the stage counts, and seconds."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: list[TaskID] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show a line for the stage, with a tick when it ends without an error."""
        task = self._progress.add_task(name, total=None)
        self._open.append(task)
        try:
            yield
        finally:
            self._open.pop()
        self._progress.update(task, total=1, completed=1)

    def progress(self, done: int, total: int | None) -> None:
        """Fill the bar of the innermost open stage."""
        if self._open:
            self._progress.update(self._open[-1], completed=done, total=total)

    def warning(self, text: str) -> None:
        """Print a framed warning above the running stages."""
        _print_warning(self._progress.console, text)


@contextmanager
def reporting() -> Iterator[Report]:
    """The report for one command: live if stderr is a terminal, plain otherwise."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    stderr = console("stderr")
    if not stderr.is_terminal:
        yield PlainReport()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        yield LiveReport(progress)


def _print_warning(where: Console, text: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    from edgekit.store import escaped

    where.print(
        Panel(Text(escaped(text)), title="WARNING", border_style="bold yellow", padding=(1, 2))
    )
