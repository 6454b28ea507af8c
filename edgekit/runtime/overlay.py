"""Draw masks, points and boxes on a photo."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from edgekit.records import BoolArray, FloatArray, Label, Rgb, Segment
from edgekit.runtime.prompts import Prompt

if TYPE_CHECKING:
    from edgekit.runtime.prediction import Prediction

Colour = tuple[int, int, int]

# Distinct to colour-blind readers too. Green and red are reserved for points.
PALETTE: tuple[Colour, ...] = (
    (30, 144, 255),
    (255, 159, 28),
    (190, 90, 255),
    (0, 210, 190),
    (255, 92, 160),
    (255, 221, 60),
    (110, 120, 255),
    (150, 230, 80),
)
WHITE: Colour = (255, 255, 255)
POINT_COLOURS: dict[int, Colour] = {
    Label.FOREGROUND: (34, 197, 94),
    Label.BACKGROUND: (239, 68, 68),
}

GOLDEN = 0.618034
"""The golden section of the colour circle, whose multiples stay far apart."""

FILL = 0.45
SUPERSAMPLING = 4


def draw(
    photo: Rgb, predictions: Sequence[Prediction], prompts: Sequence[Prompt] = ()
) -> Image.Image:
    """The photo under translucent, outlined masks, with the prompts on top.

    Each mask has its own colour; a prompt's box takes the colour of its prediction's first mask.
    Foreground points are green, background points red.

    Args:
        photo: uint8 RGB [H, W, 3].
        predictions: with masks of the photo's size.
        prompts: one per prediction, in the same order.
    """
    canvas = photo.astype(np.float32)
    stroke = max(2.0, max(photo.shape[:2]) / 400)
    first_colours: list[Colour] = []
    colours = cycle(PALETTE)
    for prediction in predictions:
        pairs = list(zip(prediction.masks, colours, strict=False))
        first_colours.append(pairs[0][1])
        for mask, colour in pairs:
            _paint(canvas, mask, colour=colour, stroke=stroke)
    picture = Image.fromarray(canvas.round().astype(np.uint8))
    for index, prompt in enumerate(prompts):
        colour = first_colours[index] if index < len(first_colours) else WHITE
        _draw_prompt(picture, prompt, colour=colour, stroke=stroke)
    return picture


def draw_segments(photo: Rgb, segments: Sequence[Segment]) -> Image.Image:
    """The photo with every segment in a colour of its own, and white lines between them.

    The large ones come first, so that the parts of an object lie on top of it. Each mask is decoded
    when it is drawn.

    Args:
        photo: uint8 RGB [H, W, 3].
        segments: with masks of the photo's size.
    """
    owners = np.zeros(photo.shape[:2], dtype=np.int32)
    drawn = sorted(segments, key=lambda segment: segment.area, reverse=True)
    for number, segment in enumerate(drawn, start=1):
        owners[segment.mask] = number
    colours = np.array([WHITE, *map(_spread_colour, range(len(drawn)))], dtype=np.uint8)
    fills = np.where(owners[..., None] > 0, colours[owners], photo)
    picture = Image.blend(Image.fromarray(photo), Image.fromarray(fills), FILL)
    picture.paste(WHITE, mask=_lines_between(owners))
    return picture


def _lines_between(owners: npt.NDArray[np.int32]) -> Image.Image:
    """The opacity [H, W] of soft lines where neighbouring pixels have different owners."""
    edges = np.zeros(owners.shape, dtype=np.bool_)
    edges[1:] |= owners[1:] != owners[:-1]
    edges[:, 1:] |= owners[:, 1:] != owners[:, :-1]
    width = max(owners.shape) / 1000
    blurred = Image.fromarray(edges).convert("L").filter(ImageFilter.GaussianBlur(width))
    return blurred.point(lambda level: min(255, 2 * level))


def _spread_colour(index: int) -> Colour:
    """A vivid colour. Neighbours in the order differ most: hues are a golden angle apart."""
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.85 - 0.25 * (index % 2), 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _paint(canvas: FloatArray, mask: BoolArray, *, colour: Colour, stroke: float) -> None:
    """Blend one mask [H, W] and its outline into the canvas [H, W, 3], in place."""
    if not mask.any():
        return
    region = _region(mask, margin=int(4 * stroke) + 1)
    part, patch = mask[region], canvas[region]
    for opacity in (np.float32(FILL) * part, _outline(part, stroke)):
        patch += opacity[..., None] * (np.asarray(colour, dtype=np.float32) - patch)


def _region(mask: BoolArray, *, margin: int) -> tuple[slice, slice]:
    """The mask's bounding box with a margin. Most masks are far smaller than the photo."""
    spans = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    rows, columns = (
        slice(max(0, int(span[0]) - margin), int(span[-1]) + 1 + margin) for span in spans
    )
    return rows, columns


def _outline(mask: BoolArray, stroke: float) -> FloatArray:
    """The opacity of an anti-aliased line of `stroke` pixels along the mask's edge.

    A blurred step edge has the value 1/2 at the edge and slope 1 / (sigma sqrt(2 pi)), so the
    blurred value gives the distance, up to 1.25 sigma. Sigma is large enough for the whole line.
    """
    sigma = stroke / 2 + 0.5
    blurred = Image.fromarray(mask).convert("L").filter(ImageFilter.GaussianBlur(sigma))
    slope = np.float32(sigma * np.sqrt(2 * np.pi))
    distance = (np.asarray(blurred, dtype=np.float32) / 255 - np.float32(0.5)) * slope
    opacity: FloatArray = np.clip(np.float32(sigma) - np.abs(distance), 0, 1)
    return opacity


def _draw_prompt(picture: Image.Image, prompt: Prompt, *, colour: Colour, stroke: float) -> None:
    if prompt.box is not None:
        last = (picture.width - 1, picture.height - 1)
        edges = np.minimum(prompt.box.round(), last * 2).tolist()
        ImageDraw.Draw(picture).rectangle(edges, outline=colour, width=max(2, round(stroke)))
    for place, label in zip(prompt.points, prompt.labels.tolist(), strict=True):
        dot = _dot(POINT_COLOURS[label], radius=2.5 * stroke + 2)
        corner = (round(place[0] - dot.width / 2), round(place[1] - dot.height / 2))
        picture.paste(dot, corner, mask=dot)


def _dot(colour: Colour, *, radius: float) -> Image.Image:
    """A disc with a white rim. Drawn large and reduced, because Pillow does not smooth edges."""
    side = 2 * round(radius) + 1
    large = side * SUPERSAMPLING
    rim = large / 6
    dot = Image.new("RGBA", (large, large), (*WHITE, 0))
    pen = ImageDraw.Draw(dot)
    pen.ellipse((0, 0, large - 1, large - 1), fill=WHITE)
    pen.ellipse((rim, rim, large - 1 - rim, large - 1 - rim), fill=colour)
    return dot.resize((side, side), Image.Resampling.LANCZOS)
