"""Where a person would click in a mask: the pixel farthest from its edge, by two distances.

`euclidean_centre` is where the field's benchmarks click: interactive segmentation is usually scored
with `cv2.distanceTransform(mask, DIST_L2, ...)` (RITM; SAM's one-point protocol, arXiv 2304.02643,
section 7.1). The figures of `evaluation` are compared with published ones, so they need the same
point.

`chessboard_centre` needs milliseconds: a binary search over one summed-area table. The prompts of
`prompts` are given to two runtimes of the same model, where any point well inside the mask will do.

Neither needs SciPy or OpenCV, which a device may not have. The photo's border counts as an edge.
"""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray

_Counts = np.ndarray[tuple[int, int], np.dtype[np.int64]]
_Squares = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def euclidean_centre(mask: BoolArray) -> tuple[int, int] | None:
    """(x, y) of the pixel of `mask` [H, W] with the largest Euclidean distance to its edge.

    The first in reading order if there are several; None for an empty mask.
    """
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    squared = squared_distance(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    row, column = np.unravel_index(int(np.argmax(squared)), squared.shape)
    return left + int(column), top + int(row)


def squared_distance(mask: BoolArray) -> _Squares:
    """Squared Euclidean distance [H, W] of every pixel to the nearest one outside the mask.

    Exact, by the two passes of Felzenszwalb and Huttenlocher (2012): along the columns, then the
    minimum over the neighbours in the row. A neighbour farther away than the largest distance along
    a column cannot be the nearest, which bounds the second pass.
    """
    inside = np.pad(mask, 1)
    vertical = _column_distance(inside)
    nearest = vertical**2
    for shift in range(1, min(int(vertical.max()) + 1, inside.shape[1])):
        shifted = vertical**2 + shift**2
        np.minimum(nearest[:, shift:], shifted[:, :-shift], out=nearest[:, shift:])
        np.minimum(nearest[:, :-shift], shifted[:, shift:], out=nearest[:, :-shift])
    squares: _Squares = nearest[1:-1, 1:-1]
    return squares


def _column_distance(inside: BoolArray) -> _Squares:
    """Rows to the nearest pixel outside, up or down; the first and last row are outside."""
    rows = np.arange(inside.shape[0])[:, None]
    above = np.maximum.accumulate(np.where(inside, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(inside, inside.shape[0], rows)[::-1], axis=0)[::-1]
    nearest: _Squares = np.minimum(rows - above, below - rows).astype(np.int64)
    return nearest


def chessboard_centre(mask: BoolArray) -> tuple[int, int] | None:
    """(x, y) of the centre of the largest square that fits into `mask` [H, W].

    The one nearest to their mean position if there are several; None for an empty mask.
    """
    if not mask.any():
        return None
    table = _summed_area(mask)
    low, high = 0, (min(mask.shape) - 1) // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _squares_inside(table, middle).any() else (low, middle - 1)
    return _most_central(_squares_inside(table, low), radius=low)


def _summed_area(mask: BoolArray) -> _Counts:
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1, out=table[1:, 1:])
    return table


def _squares_inside(table: _Counts, radius: int) -> BoolArray:
    """Which squares of side 2 * radius + 1 are entirely in the mask, by their top left pixel."""
    side = 2 * radius + 1
    bands = table[side:] - table[:-side]
    return np.equal(bands[:, side:] - bands[:, :-side], side * side)


def _most_central(squares: BoolArray, *, radius: int) -> tuple[int, int]:
    rows, columns = np.nonzero(squares)
    distance = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = int(np.argmin(distance))
    return int(columns[nearest]) + radius, int(rows[nearest]) + radius
