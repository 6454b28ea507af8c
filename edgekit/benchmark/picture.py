"""Latency against IoU: a dot per contestant, for choosing between them."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import RuntimeMissing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLOURS = 10  # of matplotlib's default cycle, after which colours repeat with another marker


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One contestant: seconds from photo file to mask, and mean IoU with PyTorch's masks."""

    name: str
    seconds: float
    iou: float


def require_matplotlib() -> None:
    """Check that pictures can be drawn, before the work that they show.

    Raises:
        RuntimeMissing: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeMissing(
            "Drawing a plot needs matplotlib, which is not installed.",
            next_step="pip install 'edgekit[plots]'",
        )


def save_latency_picture(path: Path, dots: Sequence[Dot], *, title: str) -> None:
    """Draw time to the right, on a logarithmic axis, and IoU upwards; the format is the suffix's.

    Args:
        path: a PNG, JPEG or WebP file.
        dots: at least one.
        title: what was run on what.

    Raises:
        RuntimeMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _latency_figure(dots, title=title)
    FigureCanvasAgg(figure).print_figure(path, dpi=100)


def _latency_figure(dots: Sequence[Dot], *, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    for place, dot in enumerate(sorted(dots, key=lambda dot: dot.seconds)):
        axes.plot(
            dot.seconds * 1e3,
            dot.iou,
            linestyle="none",
            marker=_MARKERS[place // _COLOURS % len(_MARKERS)],
            markersize=11,
            label=f"{dot.name}: {dot.seconds * 1e3:.{0 if dot.seconds > 0.1 else 1}f} ms",
        )
    _set_time_axis(axes, [dot.seconds * 1e3 for dot in dots])
    axes.set_ylabel("mean IoU with PyTorch's masks")
    lowest = min(0.99, math.floor(min(dot.iou for dot in dots) * 100 - 0.1) / 100)
    axes.set_ylim(lowest, 1 + 0.04 * (1 - lowest))  # a dot at 1 is drawn whole
    axes.grid(visible=True, color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def _set_time_axis(axes: Axes, milliseconds: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers: matplotlib's own writes powers of ten, and none at
    all where the times lie within one decade."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    ticks = _ticks(milliseconds)
    axes.set_xscale("log")
    axes.set_xlim(ticks[0], ticks[-1])
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("photo file to mask, median (ms)")


def _ticks(values: Sequence[float]) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) from below the least to above the largest."""
    low, high = min(values) * 0.9, max(values) * 1.1
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [base * 10.0**power for power in range(first, last + 1) for base in (1, 2, 5)]
    below = max(step for step in steps if step <= low)
    above = min(step for step in steps if step >= high)
    return [step for step in steps if below <= step <= above]
