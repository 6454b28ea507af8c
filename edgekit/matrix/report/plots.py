"""Latency against IoU and size, throughput against IoU with annotations: SVG in the page's colours.

Points are numbered, and lead to their cells in the page. Names of cells, which come from results,
are only in the titles that a browser shows over a point, escaped.
"""

from __future__ import annotations

import importlib.util
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from edgekit.benchmark.picture import round_ticks
from edgekit.matrix.report.pareto import Comparison, Point, Reference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 4.8, 3.6  # inches of 72 units
_CEILING = 1e-5
"""How near to 1 an IoU is still drawn apart from 1."""
_IOUS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
_LATENCY = "encoder and 50 prompts (ms)"
_MOST_TICKS = 6
_NUMBERED = 20
"""With more points, only those of the front have a number."""

# Stand-ins for the page's colours, which are not known while drawing.
_TEXT, _QUIET, _LINE, _ACCENT = "#000001", "#000002", "#000003", "#000004"
_COLOURS = {
    _TEXT: "currentColor",
    _QUIET: "var(--quiet)",
    _LINE: "var(--line)",
    _ACCENT: "var(--accent)",
}
_STYLE: dict[Any, Any] = {  # matplotlib's stubs want a Literal of all its names
    "svg.fonttype": "none",
    "svg.hashsalt": "edgekit",
    "font.size": 11,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "xtick.labelcolor": _TEXT,
    "ytick.labelcolor": _TEXT,
    "grid.color": _LINE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}
_LINK = "cell:"
"""Marks the links to cells, which are made the page's own after drawing."""
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """The points of a plot: where they are to the right (`across`) and upwards (`value`), the front
    among them, and where PyTorch is."""

    points: Sequence[Point]
    across: Callable[[Point], float]
    value: Callable[[Point], float]
    front: Sequence[Point]
    references: Sequence[tuple[float, float]] = ()


def can_draw() -> bool:
    """Whether matplotlib, the extra `plots`, is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def iou_plot(comparison: Comparison, anchors: Mapping[Point, str], *, name: str) -> str:
    """Latency to the right, IoU upwards, its distance from 1 on a logarithmic axis; SVG.

    Args:
        comparison: with at least one point.
        anchors: the section of the page that a point leads to.
        name: prefix of the plot's ids, unique in the page.
    """
    shown = _Shown(
        points=comparison.points,
        across=_milliseconds,
        value=lambda point: _height(point.iou),
        front=comparison.most_alike,
        references=[(_milliseconds(each), _height(1.0)) for each in comparison.references],
    )
    lowest = min(point.iou for point in comparison.points)
    ticks = [iou for iou in _IOUS if iou >= max(each for each in _IOUS[:3] if each <= lowest)]

    def finish(axes: Axes) -> None:
        axes.set_ylim(_height(ticks[0]) - 0.15, _height(1.0) + 0.25)
        axes.set_yticks([_height(iou) for iou in ticks], [f"{iou:g}" for iou in ticks])
        axes.set_xlabel(_LATENCY)
        axes.set_ylabel("mean mask IoU with PyTorch")

    return _svg(_figure(comparison, shown, anchors, finish), anchors, name)


def size_plot(comparison: Comparison, anchors: Mapping[Point, str], *, name: str) -> str:
    """Latency to the right, size of the files upwards, both logarithmic; see `iou_plot`."""
    shown = _Shown(
        points=comparison.points,
        across=_milliseconds,
        value=lambda point: point.bytes / 1e6,
        front=comparison.smallest,
        references=[(_milliseconds(each), each.bytes / 1e6) for each in comparison.references],
    )
    sizes = [*map(shown.value, shown.points), *(size for _, size in shown.references)]
    ticks = round_ticks(sizes)

    def finish(axes: Axes) -> None:
        axes.set_yscale("log")
        axes.set_ylim(ticks[0], ticks[-1])
        axes.set_yticks(*_labelled(ticks))
        axes.minorticks_off()
        axes.set_xlabel(_LATENCY)
        axes.set_ylabel("size of the files (MB)")

    return _svg(_figure(comparison, shown, anchors, finish), anchors, name)


def miou_plot(comparison: Comparison, anchors: Mapping[Point, str], *, name: str) -> str:
    """Throughput to the right, IoU with annotations upwards: the survey's picture; see `iou_plot`.

    The comparison has at least one point that is `scored`.
    """
    shown = _Shown(
        points=comparison.scored,
        across=lambda point: point.throughput or 0.0,
        value=lambda point: point.miou or 0.0,
        front=comparison.most_accurate,
    )

    def finish(axes: Axes) -> None:
        axes.set_ylim(0, 1)
        axes.set_xlabel("photos per second, one box each")
        axes.set_ylabel("mean IoU of boxes with annotations")

    return _svg(_figure(comparison, shown, anchors, finish), anchors, name)


def _height(iou: float) -> float:
    """Where an IoU is drawn: a tenth of its distance from 1 is as high again."""
    return -math.log10(max(1 - iou, _CEILING))


def _figure(
    comparison: Comparison,
    shown: _Shown,
    anchors: Mapping[Point, str],
    finish: Callable[[Axes], None],
) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, linewidth=0.8)
        axes.set_axisbelow(True)
        _draw_front(axes, shown)
        for reference in shown.references:
            axes.scatter(*reference, marker="x", color=_QUIET)
        _draw_points(axes, comparison.points, shown, anchors)
        _set_across(axes, shown)
        finish(axes)
    return figure


def _draw_front(axes: Axes, shown: _Shown) -> None:
    axes.step(
        [shown.across(point) for point in shown.front],
        [shown.value(point) for point in shown.front],
        where="post",
        color=_ACCENT,
        linewidth=1.5,
    )


def _draw_points(
    axes: Axes, points: Sequence[Point], shown: _Shown, anchors: Mapping[Point, str]
) -> None:
    """A dot for each point, hollow if it failed its gate; with its number if there is room."""
    for number, point in enumerate(points, start=1):
        if point not in shown.points:
            continue
        on_front = point in shown.front
        place = shown.across(point), shown.value(point)
        colour = _ACCENT if on_front else _QUIET
        dot = axes.scatter(*place, s=42, color=colour if point.passed else "none", edgecolor=colour)
        dot.set_urls([f"{_LINK}{anchors[point]}"])
        if on_front or len(points) <= _NUMBERED:
            weight = "bold" if on_front else "normal"
            beside = (5, 5)
            axes.annotate(
                str(number), place, xytext=beside, textcoords="offset points", weight=weight
            )


def _set_across(axes: Axes, shown: _Shown) -> None:
    every = [*map(shown.across, shown.points), *(across for across, _ in shown.references)]
    ticks = round_ticks(every)
    axes.set_xscale("log")
    axes.set_xlim(ticks[0], ticks[-1])
    axes.set_xticks(*_labelled(ticks))
    axes.minorticks_off()


def _labelled(ticks: Sequence[float]) -> tuple[list[float], list[str]]:
    """Ticks with their labels; of many, only the powers of ten, so that the labels fit."""
    many = len(ticks) > _MOST_TICKS
    shown = [tick for tick in ticks if not many or math.log10(tick).is_integer()]
    return shown, [f"{tick:,g}" for tick in shown]


def _milliseconds(point: Point | Reference) -> float:
    return point.seconds * 1e3


def _svg(figure: Figure, anchors: Mapping[Point, str], name: str) -> str:
    """The figure as an element of a page: its ids, colours and links are made the page's."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<style.*?</style>|font-family: [^;\"]*;?", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub("|".join(_COLOURS), lambda colour: _COLOURS[colour[0]], text)
    text = re.sub(rf'<a xlink:href="{_LINK}([^"]*)"[^>]*>', r'<a xlink:href="#\1">', text)
    for point, anchor in anchors.items():
        link = f'<a xlink:href="#{anchor}">'
        text = text.replace(link, f"{link}<title>{escape(point.place.title)}</title>")
    return text
