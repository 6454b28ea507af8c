"""OpenCV's bilinear resizing of uint8 photos, bit for bit, without OpenCV.

Weights have 11 bits, and sums are shifted in two steps (opencv/opencv,
modules/imgproc/src/resize.cpp: `VResizeLinear` for uchar, INTER_RESIZE_COEF_BITS). At the left and
right edges all weight goes to the edge pixel; at the top and bottom the edge row is repeated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.records import Rgb

_COEFFICIENT_BITS = 11

Integers = npt.NDArray[np.int32]


def resize(photo: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a photo [H, W, 3] to [*size, 3], both uint8, like `cv2.resize` with INTER_LINEAR."""
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
    """For each of `size` positions, both neighbours' indices and their fixed-point weights."""
    places = ((np.arange(size) + 0.5) * (source / size) - 0.5).astype(np.float32)
    low = np.floor(places).astype(np.int32)
    share = places - low
    if clamped:
        share[(low < 0) | (low >= source - 1)] = 0
    one = np.float32(1 << _COEFFICIENT_BITS)
    weights = [np.rint(part * one).astype(np.int32) for part in (1 - share, share)]
    edges = [np.clip(low + step, 0, source - 1) for step in (0, 1)]
    return edges[0], edges[1], weights[0], weights[1]
