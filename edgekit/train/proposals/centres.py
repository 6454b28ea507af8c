"""The targets of a proposal network: where the centres of the annotated objects are.

An object's centre is its mask's pixel farthest from the edge, where a person would click, and not
the middle of its box, which may lie beside the mask. Around it the target falls off as a Gaussian,
the wider the thicker the object is there: a point near the centre of a large object is good too.

Source of such targets: Zhou et al., Objects as Points (arXiv 1904.07850), section 3; the centre in
the mask and the width by its thickness are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.records import FloatArray, Preprocessing
from edgekit.runtime.preprocess import placement
from edgekit.train.data.annotations import AnnotatedPhoto, Region
from edgekit.verification.centre import squared_distance

_SPREAD = 0.4
"""Standard deviation of the Gaussian, as a share of the distance from the centre to the edge."""

_NARROWEST = 0.5
"""Cells; the standard deviation for objects of a cell or less."""

_FINE_ENOUGH = 128
"""Pixels a side to which a larger mask is thinned out; distances in the sky take seconds else."""

UNKNOWN = -1.0
"""Target of cells outside the photo, which count for nothing."""


def centre_map(photo: AnnotatedPhoto, rule: Preprocessing, *, grid: int) -> FloatArray:
    """The target [grid, grid]: 1 in the cell of a centre, less around it, `UNKNOWN` in the padding.

    `rule` says where the photo lies in the encoder's input.
    """
    size = photo.pixels.shape[0], photo.pixels.shape[1]
    place, cell = placement(size, rule), rule.frame / grid
    scale = np.array(place.resized) / size / cell
    corner = np.array(place.corner) / cell
    target = np.zeros((grid, grid), np.float32)
    rows, columns = np.mgrid[:grid, :grid]
    for region in photo.regions:
        *centre, depth = _centre(region)
        row, column = np.array(centre) * scale + corner
        deviation = max(_NARROWEST, _SPREAD * depth * float(scale.mean()))
        squared = (rows - int(row)) ** 2 + (columns - int(column)) ** 2
        np.maximum(target, np.exp(-squared / (2 * deviation**2)), out=target)
    target[~_shown(place.corner, place.resized, cell, grid)] = UNKNOWN
    return target


def _centre(region: Region) -> tuple[float, float, float]:
    """(row, column) of a region's centre in photo pixels, and its distance to the edge."""
    step = max(1, max(region.mask.shape) // _FINE_ENOUGH)
    thinned = region.mask[::step, ::step] > 0
    if not thinned.any():  # a line between the rows that are left
        step, thinned = 1, region.mask > 0
    squared = squared_distance(thinned)
    row, column = np.unravel_index(int(np.argmax(squared)), squared.shape)
    depth = step * float(np.sqrt(squared[row, column]))
    return region.top + step * row + 0.5, region.left + step * column + 0.5, depth


def _shown(
    corner: Sequence[int], resized: Sequence[int], cell: float, grid: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which cells [grid, grid] have their middle in the photo."""
    middles = (np.arange(grid) + 0.5) * cell
    inside = [
        (middles >= start) & (middles < start + length)
        for start, length in zip(corner, resized, strict=True)
    ]
    return inside[0][:, None] & inside[1]
