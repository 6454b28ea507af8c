"""Training scenes: a window of a photo, objects pasted into it, and the regions to prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import FloatArray, Rgb
from edgekit.train.data.annotations import AnnotatedPhoto, ByteMask, Region
from edgekit.train.data.windows import (
    Window,
    random_window,
    recolour,
    region_in_window,
    resample,
    valid_area,
)

REDUCTION = 4
"""Mask logits have a quarter of the window's resolution."""
_TRIES = 1000
_SMALLEST = 24
"""Regions with fewer low-resolution pixels are not prompted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneStyle:
    """How scenes of a phase are composed.

    scale: the range of the photo's long side, in frame pixels. pasted, shapes: the expected number
    of instances from other photos, and of synthetic shapes. stuff: the probability that background
    regions (sky, grass) are prompted.
    """

    scale: tuple[float, float] = (640.0, 1280.0)
    pasted: float = 0.5
    shapes: float = 0.0
    stuff: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`pixels` [S, S, 3], `valid` [S, S] (false: padding), `regions` [R, S/4, S/4] coverage."""

    window: Window
    pixels: Rgb
    valid: npt.NDArray[np.bool_]
    regions: FloatArray


def compose(
    photos: Sequence[AnnotatedPhoto],
    rng: np.random.Generator,
    *,
    size: int,
    style: SceneStyle,
    whole: bool = False,
) -> Scene:
    """Compose a random scene from a photo that has a region to prompt.

    `whole` places the photo as inference does: in the frame's top left corner, its long side as
    long as the frame.

    Raises:
        BadInput: 1000 random photos had no region that is large enough.
    """
    for _ in range(_TRIES):
        photo = photos[int(rng.integers(len(photos)))]
        anchor = _anchor(photo, rng, style)
        if anchor is None:
            continue
        window = (
            _whole_frame(photo, rng, size=size)
            if whole
            else _window_on(photo, anchor, rng, size=size, style=style)
        )
        pixels = resample(photo.pixels, window, size=size)
        covers = _covers(photo, window, anchor, rng, style)
        for kind, rate in (("instance", style.pasted), ("shape", style.shapes)):
            for _ in range(rng.poisson(rate)):
                source = photos[int(rng.integers(len(photos)))]
                pixels, covers = _paste(pixels, covers, source, rng, shape=kind == "shape")
        valid = valid_area(photo.pixels.shape[:2], window, size=size)
        visible = valid[::REDUCTION, ::REDUCTION]
        regions = [c for c in (cover * visible for cover in covers) if _promptable(c)]
        if not regions:
            continue
        if rng.random() < 0.8:
            pixels = recolour(pixels, rng)
        return Scene(window=window, pixels=pixels, valid=valid, regions=np.stack(regions))
    raise BadInput(
        "The annotated photos have almost no region that is large enough to prompt.",
        expected="instances of at least 20 x 20 pixels when the photo's long side is 1024 pixels",
        next_step="give an instances JSON with larger objects with --annotations",
    )


def _promptable(cover: FloatArray) -> bool:
    return int(np.count_nonzero(cover > 0.5)) >= _SMALLEST


def _anchor(photo: AnnotatedPhoto, rng: np.random.Generator, style: SceneStyle) -> Region | None:
    """The region that the window shows: a thing, or stuff with the style's probability."""
    thing = rng.random() >= style.stuff
    regions = [r for r in photo.regions if r.thing == thing and r.area >= 100]
    if not regions:
        return None
    # Larger regions are drawn more often: most of COCO's regions are small, and in this frame
    # most of those are below the size that is scored.
    weights = np.sqrt([r.area for r in regions])
    return regions[rng.choice(len(regions), p=weights / weights.sum())]


def _whole_frame(photo: AnnotatedPhoto, rng: np.random.Generator, *, size: int) -> Window:
    """The window of a whole photo in the frame's top left corner, mirrored in half of the cases."""
    height, width = photo.pixels.shape[:2]
    scale = size / max(height, width)
    flip = bool(rng.random() < 0.5)
    # Mirroring moves the padding to the other side: start with it on the left.
    start = width - size / scale if flip else 0.0
    return Window(left=0, top=0, size=size, photo_x=start, photo_y=0.0, scale=scale, flip=flip)


def _window_on(
    photo: AnnotatedPhoto,
    anchor: Region,
    rng: np.random.Generator,
    *,
    size: int,
    style: SceneStyle,
) -> Window:
    low, high = np.log(style.scale)
    long_side = float(np.exp(rng.uniform(low, high)))
    shape = photo.pixels.shape[:2]
    height, width = anchor.mask.shape
    fitting = size / max(height, width) * max(shape)
    if long_side > 0.9 * fitting:  # shrink the region until it fits the window
        long_side = fitting * float(rng.uniform(0.5, 0.9))
    long_side = max(long_side, 0.8 * size)  # but cut it rather than train on padding
    around = (anchor.left, anchor.top, anchor.left + width, anchor.top + height)
    return random_window((shape[0], shape[1]), rng, size=size, long_side=long_side, around=around)


def _covers(
    photo: AnnotatedPhoto,
    window: Window,
    anchor: Region,
    rng: np.random.Generator,
    style: SceneStyle,
) -> list[FloatArray]:
    """Coverage maps of the anchor and the other things in the window, and perhaps its stuff."""
    extent = window.size / window.scale
    stuff = rng.random() < style.stuff
    covers = []
    for region in photo.regions:
        height, width = region.mask.shape
        outside = (
            region.left > window.photo_x + extent
            or region.top > window.photo_y + extent
            or region.left + width < window.photo_x
            or region.top + height < window.photo_y
        )
        if region is anchor or not (outside or (not region.thing and not stuff)):
            covers.append(region_in_window(region, window, size=window.size // REDUCTION))
    return covers


def _paste(
    pixels: Rgb,
    covers: list[FloatArray],
    source: AnnotatedPhoto,
    rng: np.random.Generator,
    *,
    shape: bool,
) -> tuple[Rgb, list[FloatArray]]:
    """Paste an instance of `source`, or a shape with its texture, over the scene."""
    size = pixels.shape[0]
    piece = _shape_piece(source, rng) if shape else _instance_piece(source, rng)
    if piece is None:
        return pixels, covers
    texture, mask = piece
    side = size * float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    scale = side / max(mask.shape)
    view = Window(
        left=0,
        top=0,
        size=size,
        photo_x=-rng.uniform(-0.1 * side, size - 0.9 * side) / scale,
        photo_y=-rng.uniform(-0.1 * side, size - 0.9 * side) / scale,
        scale=scale,
        flip=bool(rng.random() < 0.5),
    )
    alpha = resample(mask, view, size=size).astype(np.float32) / 255.0
    over = resample(texture, view, size=size).astype(np.float32)
    blended = pixels + (over - pixels) * alpha[..., None]
    cells = size // REDUCTION
    coverage = alpha.reshape(cells, REDUCTION, cells, REDUCTION).mean(axis=(1, 3))
    occluded = [cover * (1 - coverage) for cover in covers]
    return blended.astype(np.uint8), [*occluded, coverage.astype(np.float32)]


def _instance_piece(
    source: AnnotatedPhoto, rng: np.random.Generator
) -> tuple[Rgb, ByteMask] | None:
    things = [r for r in source.regions if r.thing and r.area >= 600]
    if not things:
        return None
    region = things[rng.integers(len(things))]
    height, width = region.mask.shape
    cut = source.pixels[region.top : region.top + height, region.left : region.left + width]
    return cut, region.mask


def _shape_piece(source: AnnotatedPhoto, rng: np.random.Generator) -> tuple[Rgb, ByteMask]:
    """A rotated ellipse or star-shaped polygon with the texture of a patch of the photo."""
    from PIL import Image, ImageDraw

    side = 96
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, 32 if corners > 8 else corners))
    radii = 1.0 if corners > 8 else rng.uniform(0.4, 1.0, len(angles))
    stretch = rng.uniform(0.35, 1.0)
    turn = rng.uniform(0, np.pi)
    x, y = np.cos(angles) * radii, np.sin(angles) * radii * stretch
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    canvas = Image.new("L", (side, side))
    points = [(float(a), float(b)) for a, b in zip(48 + 47 * u, 48 + 47 * v, strict=True)]
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    mask = np.asarray(canvas)
    height, width = source.pixels.shape[:2]
    top, left = rng.integers(max(height - side, 1)), rng.integers(max(width - side, 1))
    patch = source.pixels[top : top + side, left : left + side]
    texture = np.asarray(Image.fromarray(patch).resize((side, side)))
    return recolour(texture, rng), mask
