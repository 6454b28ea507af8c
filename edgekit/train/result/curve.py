"""The course of a run as a picture: the loss above, the held-out IoU below, by training step."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgekit.train.stages.driving import CurvePoint

_FEW = 15
"""Lines with fewer points show their markers."""
_MARKERS = ("o", "s", "X")

Lines = dict[str, list[tuple[int, float]]]


def can_plot() -> bool:
    """Whether matplotlib, the extra `plots`, is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def curve_png(curve: Sequence[CurvePoint], *, title: str) -> bytes:
    """Draw the curve of a run as a PNG of 960 x 720 pixels.

    The loss is one line per phase, because phases have different losses. A teacher's held-out
    errors are left out: they are not IoUs, and follow its loss.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    loss, iou = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title)
    _draw(loss, _losses(curve), empty="no steps yet")
    loss.set_ylabel("training loss (smoothed)")
    loss.set_ylim(0, 1.05 * max((point.loss for point in curve), default=1))
    _draw(iou, _held_out(curve), empty="no held-out IoU was measured")
    iou.set_ylabel("mean IoU on held-out photos")
    iou.set_ylim(0, 1)
    iou.set_xlabel("training step")
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(file, format="png", dpi=100)
    return file.getvalue()


def _losses(curve: Sequence[CurvePoint]) -> Lines:
    lines: Lines = {}
    for point in curve:
        lines.setdefault(point.phase, []).append((point.step, point.loss))
    return lines


def _held_out(curve: Sequence[CurvePoint]) -> Lines:
    lines: Lines = {}
    for point in curve:
        for name, value in point.held_out.items():
            if not name.endswith("error"):
                lines.setdefault(name.replace("_", " "), []).append((point.step, value))
    return lines


def _draw(axes: Axes, lines: Lines, *, empty: str) -> None:
    axes.grid(visible=True, color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    if not lines:
        axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", color="0.4")
        return
    for index, (name, points) in enumerate(lines.items()):
        marker = _MARKERS[index % len(_MARKERS)] if len(points) < _FEW else None
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, label=name, marker=marker, markersize=4)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
