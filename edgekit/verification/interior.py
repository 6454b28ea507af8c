"""Where a person would click in a mask: as far from its edge as possible.

Distance is the chessboard one (half the side of the largest centred square that fits), because a
binary search over one summed-area table finds it in milliseconds without SciPy or OpenCV, which a
device need not have. The photo's border counts as an edge.
"""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray

_Counts = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def interior_pixel(mask: BoolArray) -> tuple[int, int] | None:
    """The (x, y) of the pixel of `mask` [H, W] farthest from its edge; None for an empty mask.

    Of several equally deep pixels, the one nearest to their common centre.
    """
    if not mask.any():
        return None
    table = _summed_area(mask)
    low, high = 0, (min(mask.shape) - 1) // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _centres(table, middle).any() else (low, middle - 1)
    return _most_central(_centres(table, low), radius=low)


def _summed_area(mask: BoolArray) -> _Counts:
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1, out=table[1:, 1:])
    return table


def _centres(table: _Counts, radius: int) -> BoolArray:
    """Which squares of side 2 * radius + 1 lie wholly in the mask, by their top left pixel."""
    side = 2 * radius + 1
    bands = table[side:] - table[:-side]
    return np.equal(bands[:, side:] - bands[:, :-side], side * side)


def _most_central(squares: BoolArray, *, radius: int) -> tuple[int, int]:
    rows, columns = np.nonzero(squares)
    distance = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = int(np.argmin(distance))
    return int(columns[nearest]) + radius, int(rows[nearest]) + radius
