"""Interpolation as small matrices, split into dense bands.

A row of an enlarged mask depends on two to four neighbouring rows of the small one, so the matrix
between them is almost empty, with its non-zeros along the diagonal. In bands of 32 rows the
non-zeros fill a small dense block, which BLAS multiplies at full speed: 0.5 ms for a mask of
1024 x 768, against 5.5 ms with the full matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.records import FloatArray

Matrix = npt.NDArray[np.float64]

BAND = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """Rows `rows` of the product are `weights` [rows, source] times rows `source` of the factor."""

    rows: slice
    source: slice
    weights: FloatArray


def bilinear(source: int, size: int) -> Matrix:
    """The matrix [size, source] of 1-D bilinear interpolation with half-pixel centres.

    Positions are computed in float32 and clamped at the edges, as in PyTorch's `interpolate(
    mode="bilinear", align_corners=False)` (ATen/native/UpSample.h). They agree to 1e-5.
    """
    half = np.float32(0.5)
    scale = np.float32(source) / np.float32(size)
    centres = np.arange(size, dtype=np.float32) + half
    positions = np.maximum(scale * centres - half, np.float32(0))
    low = positions.astype(np.int64)
    share = (positions - low).astype(np.float64)
    matrix = np.zeros((size, source))
    rows = np.arange(size)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, np.minimum(low + 1, source - 1)), share)
    return matrix


def bicubic(source: int, size: int) -> Matrix:
    """The matrix [size, source] of 1-D cubic interpolation with half-pixel centres.

    Keys' kernel, a = -0.75, over four neighbours; edges repeated, no antialiasing; as in PyTorch's
    `interpolate(mode="bicubic", align_corners=False)` (ATen/native/UpSample.h).
    """
    half = np.float32(0.5)
    positions = np.float32(source) / np.float32(size) * (np.arange(size, dtype=np.float32) + half)
    positions -= half
    base = np.floor(positions).astype(np.int64)
    share = (positions - base).astype(np.float64)
    matrix = np.zeros((size, source))
    rows = np.arange(size)
    for tap in range(-1, 3):
        places = np.clip(base + tap, 0, source - 1)
        np.add.at(matrix, (rows, places), _keys(np.abs(share - tap)))
    return matrix


def _keys(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic kernel, a = -0.75, at distances from 0 to 2."""
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    return np.where(distance <= 1, near, far)


def resample(plane: FloatArray, rows: Sequence[Band], columns: Sequence[Band]) -> FloatArray:
    """Resize a float32 plane [h, w] by the bands of both axes.

    Given only some neighbouring bands of an axis, compute only that part of the result.
    """
    top, left = rows[0].rows.start, columns[0].rows.start
    read = slice(rows[0].source.start, rows[-1].source.stop)
    widened = np.empty((len(plane), columns[-1].rows.stop - left), dtype=np.float32)
    for band in columns:
        place = slice(band.rows.start - left, band.rows.stop - left)
        widened[read, place] = plane[read, band.source] @ band.weights.T
    resized = np.empty((rows[-1].rows.stop - top, widened.shape[1]), dtype=np.float32)
    for band in rows:
        place = slice(band.rows.start - top, band.rows.stop - top)
        np.matmul(band.weights, widened[band.source], out=resized[place])
    return resized


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoTaps:
    """Each result mixes two neighbours: their indices and float32 weights, all [size]."""

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low_weight: FloatArray
    high_weight: FloatArray


def two_taps(source: int, size: int) -> TwoTaps:
    """Antialiased bilinear enlargement, `source` <= `size`. Only the edges differ from plain.

    Float32, in the order of operations of PyTorch's `interpolate(mode="bilinear", antialias=True)`
    (ATen/native/cpu/UpSampleKernel.cpp): triangle weights around each centre; those beyond the edge
    are dropped and the rest divided by their sum.
    """
    half, one = np.float32(0.5), np.float32(1)
    centres = np.float32(source) / np.float32(size) * (np.arange(size, dtype=np.float32) + half)
    low = np.maximum((centres - one + half).astype(np.int64), 0)
    high = np.minimum(low + 1, source - 1)
    inside = low + 1 < np.minimum((centres + one + half).astype(np.int64), source)
    low_weight = one - np.abs(low.astype(np.float32) - centres + half)
    high_weight = one - np.abs((low + 1).astype(np.float32) - centres + half)
    high_weight = np.where(inside, high_weight, np.float32(0))
    total = low_weight + high_weight
    return TwoTaps(
        low=low, high=high, low_weight=low_weight / total, high_weight=high_weight / total
    )


def enlarge(plane: FloatArray, rows: TwoTaps, columns: TwoTaps) -> FloatArray:
    """Enlarge a float32 plane [h, w] along its rows, then its columns.

    Equal to PyTorch on x86-64, bit for bit. PyTorch's compiled sum is a fused multiply-add; here it
    is a float64 sum rounded once, in which the product of two float32 is exact.
    """
    widened = _mix_rows(np.ascontiguousarray(plane.T), columns)
    return _mix_rows(np.ascontiguousarray(widened.T), rows)


def _mix_rows(plane: FloatArray, taps: TwoTaps) -> FloatArray:
    """Mix two rows of [h, w] for each of the rows [size, w]; in bands, to stay in cache."""
    out = np.empty((len(taps.low), plane.shape[1]), dtype=np.float32)
    for start in range(0, len(out), BAND):
        band = slice(start, start + BAND)
        first = plane[taps.low[band]] * taps.low_weight[band, None]
        second = plane[taps.high[band]] * taps.high_weight[band, None].astype(np.float64)
        np.add(first, second, out=out[band], casting="same_kind")
    return out


def bands_of(matrix: Matrix) -> tuple[Band, ...]:
    """Split a matrix [size, source] with non-zeros along the diagonal into bands of `BAND` rows."""
    return tuple(_band(matrix, start) for start in range(0, len(matrix), BAND))


def _band(matrix: Matrix, start: int) -> Band:
    rows = slice(start, min(start + BAND, len(matrix)))
    used = np.flatnonzero(matrix[rows].any(axis=0))
    source = slice(int(used[0]), int(used[-1]) + 1)
    weights = np.ascontiguousarray(matrix[rows, source], dtype=np.float32)
    return Band(rows=rows, source=source, weights=weights)
