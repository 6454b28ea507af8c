"""Progress per stage on stderr: live lines on a terminal, one plain line per stage elsewhere."""

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
    """For logs and pipes: `export: capture ... 3.2 s`."""

    def __init__(self) -> None:
        self._console = console("stderr")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Print the stage's name and seconds once it has ended well."""
        start = time.monotonic()
        yield
        self._console.print(f"{name}: {time.monotonic() - start:.1f} s", markup=False)

    def progress(self, done: int, total: int | None) -> None:
        """Say nothing: a log wants no counter."""

    def warning(self, text: str) -> None:
        """Print a framed warning."""
        _print_warning(self._console, text)


class LiveReport:
    """For terminals: a spinner, a bar where the stage counts, seconds."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: list[TaskID] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the stage as a line of its own, with a tick once it has ended well."""
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
    """The report that fits where stderr goes, for the length of one command."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    stderr = console("stderr")
    if not stderr.is_terminal:
        yield PlainReport()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        yield LiveReport(progress)


def _print_warning(where: Console, text: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    where.print(Panel(Text(text), title="WARNING", border_style="bold yellow", padding=(1, 2)))
