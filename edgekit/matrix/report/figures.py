"""The figures of a cell as text, the same in every rendering. What was not measured is a dash."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.benchmark.figures import Figures, Task
from edgekit.matrix.overview import ShownCell

MISSING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTexts:
    """What stands in a cell of the matrix.

    Times are medians, and only of a native run: those of a stand-in are not the runtime's.
    `many_prompts` is the time of 50 prompts. `*_speedup` is PyTorch's time in the same run divided
    by the bundle's.
    """

    mean_iou: str = MISSING
    min_iou: str = MISSING
    encoder: str = MISSING
    encoder_speedup: str = ""
    many_prompts: str = MISSING
    many_prompts_speedup: str = ""
    size: str = MISSING

    @property
    def measured(self) -> bool:
        """Whether masks were compared or times taken."""
        return {self.min_iou, self.encoder, self.many_prompts} != {MISSING}


def figures_of(cell: ShownCell) -> FigureTexts:
    """The figures of one cell."""
    result = cell.result
    if result is None:
        return FigureTexts()
    overall, timed, reference = result.overall, native_times(cell), result.pytorch_figures
    return FigureTexts(
        mean_iou=f"{overall.mean_iou:.5f}" if overall else MISSING,
        min_iou=f"{overall.min_iou:.5f}" if overall else MISSING,
        encoder=milliseconds(timed, Task.ENCODER),
        encoder_speedup=_speedup(reference, timed, Task.ENCODER),
        many_prompts=milliseconds(timed, Task.DECODER_MANY),
        many_prompts_speedup=_speedup(reference, timed, Task.DECODER_MANY),
        size=megabytes(result.bundle_bytes),
    )


def pytorch_figures_of(cell: ShownCell) -> FigureTexts | None:
    """The figures of PyTorch in the run in which the cell was timed; None if there is none."""
    timed = cell.result.pytorch_figures if cell.result else None
    if timed is None or timed.missing:
        return None
    return FigureTexts(
        encoder=milliseconds(timed, Task.ENCODER),
        many_prompts=milliseconds(timed, Task.DECODER_MANY),
        size=megabytes(timed.bytes),
    )


def native_times(cell: ShownCell) -> Figures | None:
    """The times of the target's own runtime; None if it was not timed."""
    timed = cell.result.bundle_figures if cell.result else None
    return timed if timed and timed.execution == "native" else None


def milliseconds(figures: Figures | None, task: Task) -> str:
    """The median time of a task."""
    timing = figures.timing(task) if figures else None
    if timing is None:
        return MISSING
    time = timing.p50 * 1e3
    return f"{time:,.0f} ms" if time >= 10 else f"{time:.1f} ms"


def megabytes(size: int | None) -> str:
    """A size in bytes as MB, of 10^6 bytes."""
    return f"{size / 1e6:.1f} MB" if size else MISSING


def first_line(text: str | None) -> str:
    """The first line of a reason, for tables."""
    return (text or "").partition("\n")[0]


def _speedup(reference: Figures | None, timed: Figures | None, task: Task) -> str:
    slow = reference.timing(task) if reference else None
    fast = timed.timing(task) if timed else None
    return f"{slow.p50 / fast.p50:.1f}" if slow and fast else ""
