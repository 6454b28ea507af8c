"""A photo into FastSAM's input, pixel for pixel as upstream's OpenCV does it, without OpenCV.

The longest side becomes the frame's, the rest is grey, split evenly. Upstream pads the other side
to the next multiple of 32 only; a graph with fixed sizes needs the whole square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.records import FloatArray, Rgb

GREY = 114
STRIDE = 32
_COEFFICIENT_BITS = 11  # of OpenCV's fixed-point weights (INTER_RESIZE_COEF_BITS)

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a photo lies in its input; all are (height, width) or (top, left) in pixels."""

    photo: tuple[int, int]
    resized: tuple[int, int]
    corner: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def gain(self) -> float:
        """Input pixels per photo pixel before rounding, as upstream maps boxes back."""
        return min(c / p for c, p in zip(self.canvas, self.photo, strict=True))


def placed(photo: tuple[int, int], frame: int, *, square: bool) -> Placement:
    """The place of a photo of (height, width) in a frame, or in the least of it that 32 divides."""
    ratio = min(frame / side for side in photo)
    resized = round(photo[0] * ratio), round(photo[1] * ratio)
    spare = tuple((frame - side) if square else (frame - side) % STRIDE for side in resized)
    return Placement(
        photo=photo,
        resized=resized,
        corner=(round(spare[0] / 2 - 0.1), round(spare[1] / 2 - 0.1)),
        canvas=(resized[0] + spare[0], resized[1] + spare[1]),
    )


def letterboxed(photo: Rgb, place: Placement) -> FloatArray:
    """The tensor `image` [1, 3, *canvas], float32, RGB in 0-1."""
    canvas = np.full((*place.canvas, 3), GREY, dtype=np.uint8)
    (top, left), (height, width) = place.corner, place.resized
    canvas[top : top + height, left : left + width] = _resized(photo, place.resized)
    image = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32)
    image /= np.float32(255)
    return image


def _resized(photo: Rgb, size: tuple[int, int]) -> Rgb:
    """OpenCV's `resize` with INTER_LINEAR on uint8: weights of 11 bits, sums shifted in two steps.

    Facts: opencv/opencv, modules/imgproc/src/resize.cpp (`VResizeLinear` for uchar). At the left
    and the right edge the weight moves to the edge pixel; above and below the row is repeated.
    """
    left, right, left_weight, right_weight = _neighbours(photo.shape[1], size[1], clamped=True)
    upper, lower, upper_weight, lower_weight = _neighbours(photo.shape[0], size[0], clamped=False)
    wide = photo.astype(np.int32)
    rows = wide[:, left] * left_weight[:, None] + wide[:, right] * right_weight[:, None]
    rows >>= 4
    mixed = (rows[upper] * upper_weight[:, None, None]) >> 16
    mixed += (rows[lower] * lower_weight[:, None, None]) >> 16
    mixed += 2
    mixed >>= 2
    return mixed.astype(np.uint8)


def _neighbours(
    source: int, size: int, *, clamped: bool
) -> tuple[Integers, Integers, Integers, Integers]:
    """Indices [size] of both neighbours and their fixed-point weights."""
    places = ((np.arange(size) + 0.5) * (source / size) - 0.5).astype(np.float32)
    low = np.floor(places).astype(np.int32)
    share = places - low
    if clamped:
        share[(low < 0) | (low >= source - 1)] = 0
    one = np.float32(1 << _COEFFICIENT_BITS)
    weights = [np.rint(part * one).astype(np.int32) for part in (1 - share, share)]
    edges = [np.clip(low + step, 0, source - 1) for step in (0, 1)]
    return edges[0], edges[1], weights[0], weights[1]
