"""Interpolation as small matrices, cut into dense bands.

A row of an enlarged mask depends on two to four neighbouring rows of the small one, so the matrix
that maps one to the other is almost empty, and its non-zeros lie along the diagonal. Thirty-two
rows at a time they fill a small dense block, which BLAS multiplies at full speed: 0.5 ms for a mask
of 1024 x 768 where the full matrices take 5.5 ms.
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
    """Rows `rows` of a product come from rows `source` of the factor: weights [rows, source]."""

    rows: slice
    source: slice
    weights: FloatArray


def bilinear(source: int, size: int) -> Matrix:
    """The matrix [size, source] of 1-D bilinear interpolation with half-pixel centres.

    Positions are computed in float32 and clamped at the edges, as PyTorch's `interpolate(
    mode="bilinear", align_corners=False)` does (ATen/native/UpSample.h), so that it agrees to 1e-5.
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

    Keys' kernel with a = -0.75 over four neighbours, edges repeated, no antialiasing, as PyTorch's
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


def resampled(plane: FloatArray, rows: Sequence[Band], columns: Sequence[Band]) -> FloatArray:
    """A plane [h, w] enlarged or reduced by the banded matrices of both axes, float32.

    Of some neighbouring bands of an axis comes the part of the result that those make.
    """
    first = columns[0].rows.start
    widened = np.empty((len(plane), columns[-1].rows.stop - first), dtype=np.float32)
    for band in columns:
        place = slice(band.rows.start - first, band.rows.stop - first)
        widened[:, place] = plane[:, band.source] @ band.weights.T
    return np.concatenate([band.weights @ widened[band.source] for band in rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoTaps:
    """Each of `size` results is two neighbours: indices and float32 weights, both [size]."""

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low_weight: FloatArray
    high_weight: FloatArray


def two_taps(source: int, size: int) -> TwoTaps:
    """Antialiased bilinear enlargement, `source` <= `size`, which is plain but at the edges.

    In float32, with the order of operations of PyTorch's `interpolate(mode="bilinear",
    antialias=True)` (ATen/native/cpu/UpSampleKernel.cpp): weights of a triangle around each centre,
    those beyond the edge left out and the rest divided by their sum.
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


def enlarged(plane: FloatArray, rows: TwoTaps, columns: TwoTaps) -> FloatArray:
    """A plane [h, w] enlarged along its rows, then its columns, float32.

    Equal to PyTorch's on x86-64 to the bit: its compiled sum is a fused multiply-add, which is a
    sum in float64 rounded once (the product of two float32 is exact there).
    """
    widened = _rows_mixed(np.ascontiguousarray(plane.T), columns)
    return _rows_mixed(np.ascontiguousarray(widened.T), rows)


def _rows_mixed(plane: FloatArray, taps: TwoTaps) -> FloatArray:
    """Rows [size, w] of two neighbours each, out of [h, w]; a band at a time, to stay in cache."""
    out = np.empty((len(taps.low), plane.shape[1]), dtype=np.float32)
    for start in range(0, len(out), BAND):
        band = slice(start, start + BAND)
        first = plane[taps.low[band]] * taps.low_weight[band, None]
        second = plane[taps.high[band]] * taps.high_weight[band, None].astype(np.float64)
        np.add(first, second, out=out[band], casting="same_kind")
    return out


def banded(matrix: Matrix) -> tuple[Band, ...]:
    """A matrix [size, source] whose non-zeros lie along the diagonal, as bands of `BAND` rows."""
    return tuple(_band(matrix, start) for start in range(0, len(matrix), BAND))


def _band(matrix: Matrix, start: int) -> Band:
    rows = slice(start, min(start + BAND, len(matrix)))
    used = np.flatnonzero(matrix[rows].any(axis=0))
    source = slice(int(used[0]), int(used[-1]) + 1)
    weights = np.ascontiguousarray(matrix[rows, source], dtype=np.float32)
    return Band(rows=rows, source=source, weights=weights)
