"""A matrix on the terminal: what runs, and what became of all cells."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from edgekit.cli.console import console, say, table

if TYPE_CHECKING:
    from edgekit.matrix import Cell, Difference, Overview, Result
    from edgekit.matrix.overview import ShownCell

_FIGURES = ("mean IoU", "min IoU", "encoder", "50 prompts", "size")


class PrintedWatch:
    """Prints a line on stderr when a cell starts and when it ends."""

    def planned(self, left: int, until: datetime | None) -> None:
        """Print how many cells are to run."""
        cells = "1 cell" if left == 1 else f"{left} cells"
        say(f"{cells} to run{_until(until) if left else ''}", err=True)

    def started(self, cell: Cell) -> None:
        """Print which cell runs."""
        say(f"running  {cell.model} for {cell.target}", err=True)

    def ended(self, result: Result, left: int, until: datetime | None) -> None:
        """Print what became of a cell, and how many are left."""
        told = f"ended    {result.place.title}: {result.state}, {result.seconds:.0f} s"
        say(f"{told}; {left} left{_until(until) if left else ''}", err=True)
        if result.reason:
            say(f"         {result.reason.splitlines()[0]}", err=True)


def _until(until: datetime | None) -> str:
    """When all will be done: the time of day, with the date if that is another day."""
    if until is None:
        return ""
    today = until.date() == datetime.now().astimezone().date()
    return f", until about {until:%H:%M}" if today else f", until about {until:%Y-%m-%d %H:%M}"


def print_overview(overview: Overview, changes: tuple[Difference, ...] | None) -> None:
    """Print all cells, the number in each state, what changed, and notices."""
    from edgekit.matrix.report.figures import first_line

    printer = console()
    listed = table("model", "weights", "target", "state", *_FIGURES, "reason", right=_FIGURES)
    for cell in overview.cells:
        listed.add_row(*_row(cell))
    printer.print(listed)
    for change in changes or ():
        printer.print(f"{change.change}: {change.place.title}: {first_line(change.text)}")
    if changes == ():
        printer.print("Nothing changed since the earlier results.")
    for notice in overview.notices:
        printer.print(f"Notice: {notice}")
    printer.print(", ".join(f"{count} {state}" for state, count in overview.counts.items()))


def _row(cell: ShownCell) -> tuple[str, ...]:
    from edgekit.matrix.report.figures import figures_of, first_line

    figures = figures_of(cell)
    return (
        cell.place.model,
        cell.place.weights_text,
        cell.place.target,
        cell.state,
        figures.mean_iou,
        figures.min_iou,
        figures.encoder,
        figures.many_prompts,
        figures.size,
        first_line(cell.reason),
    )


def overview_json(overview: Overview, changes: tuple[Difference, ...] | None) -> dict[str, object]:
    """The overview for `json.dumps`; `changes` is null if there was nothing to compare with."""
    return {
        "exit_code": overview.exit_code,
        "counts": overview.counts,
        "notices": overview.notices,
        "changes": None if changes is None else [asdict(change) for change in changes],
        "cells": [_cell_json(cell, asked=cell.place in overview.asked) for cell in overview.cells],
    }


def _cell_json(cell: ShownCell, *, asked: bool) -> dict[str, object]:
    return {
        "model": cell.place.model,
        "weights": cell.place.weights_text,
        "target": cell.place.target,
        "host": cell.place.host,
        "asked": asked,
        "state": cell.state,
        "reason": cell.reason,
        "key": cell.result.key if cell.result else None,
        "result": asdict(cell.result) if cell.result else None,
    }
