"""The figures of a cell as text, the same in every rendering. A figure that is missing is empty."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.benchmark.figures import Figures, Task
from edgekit.matrix.overview import ShownCell


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTexts:
    """What stands in a cell of the matrix.

    Times are medians, and only of a native run: those of a stand-in are not the runtime's.
    `many_prompts` is the time of 50 prompts.
    """

    mean_iou: str = ""
    min_iou: str = ""
    encoder: str = ""
    many_prompts: str = ""
    size: str = ""


def figures_of(cell: ShownCell) -> FigureTexts:
    """The figures of one cell."""
    result = cell.result
    if result is None:
        return FigureTexts()
    overall, timed = result.overall, result.bundle_figures
    native = timed if timed and timed.execution == "native" else None
    return FigureTexts(
        mean_iou=f"{overall.mean_iou:.5f}" if overall else "",
        min_iou=f"{overall.min_iou:.5f}" if overall else "",
        encoder=milliseconds(native, Task.ENCODER),
        many_prompts=milliseconds(native, Task.DECODER_MANY),
        size=f"{result.bundle_bytes / 1e6:.1f} MB" if result.bundle_bytes else "",
    )


def milliseconds(figures: Figures | None, task: Task) -> str:
    """The median time of a task."""
    timing = figures.timing(task) if figures else None
    return f"{timing.p50 * 1e3:.0f} ms" if timing else ""


def first_line(text: str | None) -> str:
    """The first line of a reason, for tables."""
    return (text or "").partition("\n")[0]
