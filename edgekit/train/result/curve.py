"""The course of a run as a picture: loss above, held-out figures below, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from edgekit.train.stages.driving import Mark

    Font = FreeTypeFont | ImageFont

_SIZE = (960, 720)
_LEFT, _RIGHT, _TOP, _BETWEEN, _BOTTOM = 80, 30, 76, 70, 60
_INK, _GRID = (40, 40, 40), (222, 222, 222)
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 140, 44), (255, 127, 14), (120, 80, 160))
_SIGNS = ("dot", "square", "cross")
_FEW = 40
"""Lines of fewer points show them."""

Line = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One set of axes: what it is called, where it lies, and the ranges of its axes."""

    label: str
    top: int
    bottom: int
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Data to pixels."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        width = _SIZE[0] - _RIGHT - _LEFT
        return _LEFT + across * width, self.bottom - up * (self.bottom - self.top)


def curve(marks: Sequence[Mark], *, title: str) -> Image:
    """Draw the marks of a run. The loss starts anew where a phase brings another one.

    The errors of a teacher's stage are left out: they are not IoUs, and follow its loss.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=16)
    picture = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_LEFT, 14), title, fill=_INK, font=font)
    height = (_SIZE[1] - _TOP - _BETWEEN - _BOTTOM) // 2
    span = (0.0, float(max((mark.step for mark in marks), default=1)))
    losses = _losses(marks)
    highest = max((y for _, line in losses for _, y in line), default=1.0)
    upper = _Panel(
        label="training loss, smoothed, by phase",
        top=_TOP,
        bottom=_TOP + height,
        x=span,
        y=(0, highest * 1.05),
    )
    lower_top = _TOP + height + _BETWEEN
    lower = _Panel(
        label="IoU on held-out photos", top=lower_top, bottom=lower_top + height, x=span, y=(0, 1)
    )
    _draw_panel(draw, upper, losses, font)
    _draw_panel(draw, lower, _figures(marks), font)
    draw.text(
        (_SIZE[0] // 2, _SIZE[1] - 24), "optimisation step", fill=_INK, font=font, anchor="mm"
    )
    return picture


def _losses(marks: Sequence[Mark]) -> list[tuple[str, Line]]:
    lines: dict[str, Line] = {}
    for mark in marks:
        lines.setdefault(mark.phase, []).append((mark.step, mark.loss))
    return list(lines.items())


def _figures(marks: Sequence[Mark]) -> list[tuple[str, Line]]:
    lines: dict[str, Line] = {}
    for mark in marks:
        for name, value in mark.held_out.items():
            if not name.endswith("error"):
                lines.setdefault(name.replace("_", " "), []).append((mark.step, value))
    return list(lines.items())


def _draw_panel(
    draw: ImageDraw, panel: _Panel, lines: Sequence[tuple[str, Line]], font: Font
) -> None:
    right = _SIZE[0] - _RIGHT
    for value in _ticks(*panel.y):
        _, y = panel.place((panel.x[0], value))
        draw.line((_LEFT, y, right, y), fill=_GRID)
        draw.text((_LEFT - 10, y), f"{value:g}", fill=_INK, font=font, anchor="rm")
    for value in _ticks(*panel.x):
        x, _ = panel.place((value, panel.y[0]))
        draw.line((x, panel.bottom, x, panel.bottom + 5), fill=_INK)
        draw.text((x, panel.bottom + 8), f"{value:g}", fill=_INK, font=font, anchor="ma")
    draw.rectangle((_LEFT, panel.top, right, panel.bottom), outline=_INK)
    draw.text((_LEFT, panel.top - 22), panel.label, fill=_INK, font=font)
    _draw_lines(draw, panel, lines, font)


def _draw_lines(
    draw: ImageDraw, panel: _Panel, lines: Sequence[tuple[str, Line]], font: Font
) -> None:
    """The lines and, above the panel from the right, their names."""
    x = float(_SIZE[0] - _RIGHT)
    for index, (name, line) in reversed(list(enumerate(lines))):
        colour, sign = _COLOURS[index % len(_COLOURS)], _SIGNS[index % len(_SIGNS)]
        points = [panel.place(point) for point in line]
        draw.line(points, fill=colour, width=2)
        if len(points) < _FEW:
            for point in points:
                _draw_sign(draw, point, sign, colour)
        x -= draw.textlength(name, font=font)
        draw.text((x, panel.top - 22), name, fill=colour, font=font)
        _draw_sign(draw, (x - 10, panel.top - 12), sign, colour)
        x -= 30


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers of the range."""
    step = 10.0 ** len(str(int(high)))
    while (high - low) / step < 4:
        step = _smaller(step)
    return [step * i for i in range(int(low / step), int(high / step + 1e-9) + 1)]


def _smaller(step: float) -> float:
    digits = f"{step:e}"
    return step / 2.5 if digits.startswith("5") else step / 2


def _draw_sign(
    draw: ImageDraw, at: tuple[float, float], sign: str, colour: tuple[int, int, int]
) -> None:
    x, y = at
    around = (x - 4, y - 4, x + 4, y + 4)
    if sign == "dot":
        draw.ellipse(around, fill=colour)
    elif sign == "square":
        draw.rectangle(around, fill=colour)
    else:
        draw.line((x - 5, y - 5, x + 5, y + 5), fill=colour, width=2)
        draw.line((x - 5, y + 5, x + 5, y - 5), fill=colour, width=2)
