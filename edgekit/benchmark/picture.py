"""Latency against IoU, and against the number of boxes, for choosing between contestants."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import install_command
from edgekit.errors import RuntimeMissing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLOURS = 10  # of matplotlib's default cycle, after which colours repeat with another marker


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One contestant.

    seconds: from photo file to mask. iou: mean, with PyTorch's masks. curve: seconds of one photo
    by the number of its boxes.
    """

    name: str
    seconds: float
    iou: float
    curve: Mapping[int, float]


def require_matplotlib() -> None:
    """Check that pictures can be drawn, before the work that they show.

    Raises:
        RuntimeMissing: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeMissing(
            "Drawing a plot needs matplotlib, which is not installed.",
            next_step=install_command("plots"),
        )


def save_picture(path: Path, drawn: Sequence[Drawn], *, machine: str) -> None:
    """Draw a dot for each contestant above, and a line below; the format is the suffix's.

    Above is time to the right, on a logarithmic axis, and IoU upwards; below is the number of boxes
    to the right, and time upwards.

    Args:
        path: a PNG, JPEG or WebP file.
        drawn: at least one.
        machine: what it was run on.

    Raises:
        RuntimeMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(_picture(drawn, machine=machine)).print_figure(path, dpi=100)


def _picture(drawn: Sequence[Drawn], *, machine: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 11), layout="constrained")
    above, below = figure.subplots(2)
    above.set_title(f"Latency and agreement with PyTorch: {machine}", loc="left")
    below.set_title("One photo and its boxes, from the file to all masks", loc="left")
    fastest_first = sorted(drawn, key=lambda each: each.seconds)
    for place, each in enumerate(fastest_first):
        _draw_one(above, below, each, place)
    _set_time_axis(above, [each.seconds * 1e3 for each in drawn])
    above.set_ylabel("mean IoU with PyTorch's masks")
    lowest = min(0.99, math.floor(min(each.iou for each in drawn) * 100 - 0.1) / 100)
    above.set_ylim(lowest, 1 + 0.04 * (1 - lowest))  # a dot at 1 is drawn whole
    below.set_xlabel("boxes")
    below.set_ylabel("median (s)")
    below.set_xlim(left=0)
    below.set_ylim(bottom=0)
    for axes in (above, below):
        axes.grid(visible=True, color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *above.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False
    )
    return figure


def _draw_one(above: Axes, below: Axes, drawn: Drawn, place: int) -> None:
    """The same marker and colour in both."""
    marker = _MARKERS[place // _COLOURS % len(_MARKERS)]
    milliseconds = drawn.seconds * 1e3
    digits = 0 if drawn.seconds > 0.1 else 1
    above.plot(
        milliseconds,
        drawn.iou,
        linestyle="none",
        marker=marker,
        markersize=11,
        label=f"{drawn.name}: {milliseconds:.{digits}f} ms",
    )
    below.plot(list(drawn.curve), list(drawn.curve.values()), marker=marker)


def _set_time_axis(axes: Axes, milliseconds: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers: matplotlib's own writes powers of ten, and none at
    all where the times lie within one decade."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    ticks = round_ticks(milliseconds)
    axes.set_xscale("log")
    axes.set_xlim(ticks[0], ticks[-1])
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("photo file to mask, median (ms)")


def round_ticks(values: Sequence[float]) -> list[float]:
    """Values such as 1, 2, 5, 10, 20 from below the least to above the largest, all positive."""
    low, high = min(values) * 0.9, max(values) * 1.1
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [base * 10.0**power for power in range(first, last + 1) for base in (1, 2, 5)]
    below = max(step for step in steps if step <= low)
    above = min(step for step in steps if step >= high)
    return [step for step in steps if below <= step <= above]
