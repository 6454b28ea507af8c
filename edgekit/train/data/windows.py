"""Windows of the 1024 frame: cheap training steps with objects at their inference scale.

At inference a photo fills the 1024 frame. Photos scaled down to 256 pixels would be cheap to train
on, but would show objects at a quarter of their size. Instead, the photo is placed in the frame at
about its inference scale, and only a window of the frame is computed: the encoder gets the window's
pixels, and every positional table is cropped to the window's cells of the token grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgekit.records import FloatArray, Rgb
from edgekit.train.data.annotations import ByteMask, Region

CELL = 32
"""Windows start at multiples of the backbone's stride: two tokens of 16 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A square of `size` frame pixels at (`left`, `top`) of the frame.

    It shows the photo from (`photo_x`, `photo_y`), in photo pixels, at `scale` frame pixels per
    photo pixel. Outside the photo it is padding.
    """

    left: int
    top: int
    size: int
    photo_x: float
    photo_y: float
    scale: float
    flip: bool = False


def resample(
    pixels: npt.NDArray[np.uint8], window: Window, *, size: int, fill: int = 0
) -> npt.NDArray[np.uint8]:
    """Resample the window's part of `pixels` to `size` x `size`, antialiased bilinear.

    `size` may differ from the window's: masks are resampled at a quarter, where each pixel is the
    mean of the mask over it.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    ratio = size / window.size * window.scale  # output pixels per photo pixel
    x0, y0 = window.photo_x, window.photo_y
    left, right = _visible(x0, width, ratio, size)
    top, bottom = _visible(y0, height, ratio, size)
    out = np.full((size, size, *pixels.shape[2:]), fill, np.uint8)
    if right > left and bottom > top:
        box = (
            max(x0 + left / ratio, 0.0),
            max(y0 + top / ratio, 0.0),
            min(x0 + right / ratio, float(width)),
            min(y0 + bottom / ratio, float(height)),
        )
        shape = (right - left, bottom - top)
        shown = Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR, box=box)
        out[top:bottom, left:right] = np.asarray(shown)
    return np.ascontiguousarray(out[:, ::-1]) if window.flip else out


def _visible(start: float, extent: int, ratio: float, size: int) -> tuple[int, int]:
    """The output pixels [first, last) of one axis that are inside the photo."""
    first = int(np.ceil(max(-start * ratio, 0.0) - 1e-6))
    last = int(np.floor(min((extent - start) * ratio, size) + 1e-6))
    return min(first, size), max(last, 0)


def valid_area(shape: tuple[int, int], window: Window, *, size: int) -> npt.NDArray[np.bool_]:
    """Which of the `size` x `size` pixels show the photo; the rest is padding."""
    ratio = size / window.size * window.scale
    out = np.zeros((size, size), bool)
    left, right = _visible(window.photo_x, shape[1], ratio, size)
    top, bottom = _visible(window.photo_y, shape[0], ratio, size)
    out[top:bottom, left:right] = True
    return out[:, ::-1] if window.flip else out


def region_in_window(region: Region, window: Window, *, size: int) -> FloatArray:
    """The region's coverage in [0, 1] of each of `size` x `size` cells of the window."""
    # The mask is padded by the extent of a cell: `resample` returns whole cells only and would
    # drop those that the region covers in part.
    margin = math.ceil(window.size / size / window.scale) + 1
    moved = replace(
        window,
        photo_x=window.photo_x - region.left + margin,
        photo_y=window.photo_y - region.top + margin,
    )
    padded: ByteMask = np.pad(region.mask, margin)
    coverage: FloatArray = resample(padded, moved, size=size).astype(np.float32) / 255.0
    return coverage


def random_window(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    size: int,
    long_side: float,
    around: tuple[float, float, float, float] | None = None,
    frame: int = 1024,
) -> Window:
    """A random window of `size` on a photo of `shape` (height, width) scaled to `long_side`.

    The window contains `around` (x0, y0, x1, y1 in photo pixels) if that fits. A photo smaller than
    the window is at its top left, as at inference. The window's place in the frame is random, so
    that the whole positional table is trained.
    """
    scale = long_side / max(shape)
    extent = size / scale
    height, width = shape
    x0, y0, x1, y1 = around or (0.0, 0.0, float(width), float(height))
    cells = (frame - size) // CELL + 1
    return Window(
        left=int(rng.integers(cells)) * CELL,
        top=int(rng.integers(cells)) * CELL,
        size=size,
        photo_x=_start((x0, x1), extent, width, rng),
        photo_y=_start((y0, y1), extent, height, rng),
        scale=scale,
        flip=bool(rng.random() < 0.5),
    )


def _start(
    span: tuple[float, float], extent: float, length: int, rng: np.random.Generator
) -> float:
    """The start of a window of `extent` on one axis; the window contains `span` if that fits."""
    if extent >= length:
        return 0.0
    low, high = sorted((span[1] - extent, span[0]))
    return float(np.clip(rng.uniform(low, high), 0.0, length - extent))


def recolour(pixels: Rgb, rng: np.random.Generator) -> Rgb:
    """Change brightness, contrast, saturation, tint and gamma at random; 5 % become grey."""
    image = pixels.astype(np.float32) / 255.0
    image = np.clip(image, 0, 1) ** float(np.exp(rng.uniform(-0.3, 0.3)))
    grey = image.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.5)
    image = grey + (image - grey) * np.float32(saturation)
    middle = np.float32(image.mean())
    image = middle + (image - middle) * np.float32(rng.uniform(0.7, 1.3))
    image = (
        image * rng.uniform(0.9, 1.1, size=3).astype(np.float32) * np.float32(rng.uniform(0.7, 1.3))
    )
    recoloured: Rgb = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    return recoloured
