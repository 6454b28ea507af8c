"""Latency against IoU, one dot per contestant: the picture people look at to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

_SIZE = (1100, 640)
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 260, 60, 70
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_COLOURS = (
    (31, 119, 180),
    (214, 39, 40),
    (44, 140, 44),
    (255, 127, 14),
    (120, 80, 160),
    (140, 86, 75),
    (227, 119, 194),
    (90, 90, 90),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One contestant: seconds from photo file to mask, and mean IoU with PyTorch's masks."""

    name: str
    seconds: float
    iou: float


def latency_picture(dots: Sequence[Dot], *, title: str) -> Image:
    """Draw the dots: time to the right on a logarithmic axis, IoU upwards, a legend beside.

    Args:
        dots: at least one.
        title: what was run on what.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=16)
    picture = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_LEFT, 18), title, fill=_INK, font=font)
    times = _ticks([dot.seconds for dot in dots])
    lowest = min(0.99, math.floor(min(dot.iou for dot in dots) * 100 - 0.5) / 100)
    _draw_axes(draw, font, times, lowest)
    for place, dot in enumerate(sorted(dots, key=lambda dot: dot.seconds)):
        colour = _COLOURS[place % len(_COLOURS)]
        x, y = _place(dot.seconds, dot.iou, times, lowest)
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=colour)
        below = _TOP + 24 * place
        left = _SIZE[0] - _RIGHT + 20
        draw.ellipse((left, below + 2, left + 12, below + 14), fill=colour)
        draw.text((left + 20, below - 1), dot.name, fill=_INK, font=font)
    return picture


def _ticks(seconds: Sequence[float]) -> list[float]:
    """Round times (1, 2 or 5 times a power of ten) from below the fastest to above the slowest."""
    low, high = min(seconds) * 0.8, max(seconds) * 1.25
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [base * 10.0**power for power in range(first, last + 1) for base in (1, 2, 5)]
    below = max(step for step in steps if step <= low)
    above = min(step for step in steps if step >= high)
    return [step for step in steps if below <= step <= above]


def _place(
    seconds: float, iou: float, times: Sequence[float], lowest: float
) -> tuple[float, float]:
    across = math.log(seconds / times[0]) / math.log(times[-1] / times[0])
    up = (iou - lowest) / (1.0 - lowest)
    width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM
    return _LEFT + across * width, _SIZE[1] - _BOTTOM - up * height


def _draw_axes(draw: ImageDraw, font: Font, times: Sequence[float], lowest: float) -> None:
    right, bottom = _SIZE[0] - _RIGHT, _SIZE[1] - _BOTTOM
    for seconds in times:
        x, _ = _place(seconds, 1.0, times, lowest)
        draw.line((x, _TOP, x, bottom), fill=_GRID)
        draw.text((x, bottom + 14), f"{seconds * 1e3:g} ms", fill=_INK, font=font, anchor="mm")
    for step in range(5):
        iou = lowest + (1.0 - lowest) * step / 4
        _, y = _place(times[0], iou, times, lowest)
        draw.line((_LEFT, y, right, y), fill=_GRID)
        draw.text((_LEFT - 10, y), f"{iou:.4g}", fill=_INK, font=font, anchor="rm")
    across = (_LEFT + right) // 2
    draw.text(
        (across, _SIZE[1] - 22), "photo file to mask, median", fill=_INK, font=font, anchor="mm"
    )
    draw.text((_LEFT, _TOP - 12), "mean IoU with PyTorch", fill=_INK, font=font, anchor="lm")
