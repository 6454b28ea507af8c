"""Few points first, then more where no mask is confident: TinySAM's hierarchical mode.

A quarter of the grid's points a side comes first. Around each of them lie up to 15 more, one step
(the photo's side divided by `grid`, rounded down) apart. Those inside a mask that the first round
kept, where its logit is above `confident`, are left out: their object is known.

Source: xinghaochen/TinySAM, tinysam/hierarchical_mask_generator.py. It is followed where it decides
which masks come out: steps in whole pixels, so that points are not those of the full grid; masks of
the first round count as confident before duplicates are removed; masks of the second round come
first where scores tie. It differs where upstream stops with an error or a useless result:

- Where the first round leaves no point, its masks are the result; upstream crashes.
- In a photo of fewer pixels a side than `grid`, a step is one pixel; upstream's is none.
- Crops are refused; upstream ignores them.
"""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray, Segment
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.everything.found import (
    Found,
    found_by_points,
    grid_points,
    without_duplicates,
)
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.prediction import Size

FIRST = 4
"""The first round has this fraction of the grid's points a side."""

_NEAR = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
_OFFSETS = np.array([*_NEAR, (2, -1), (2, 0), (2, 1), (-1, 2), (0, 2), (1, 2), (2, 2)])
"""Where the points of the second round lie around one of the first, in steps."""


def segments_by_hierarchy(scene: Scene) -> list[Segment]:
    """The objects of a photo, by falling score."""
    rule, view = scene.rule, scene.view()
    points = grid_points(rule.grid // FIRST, scene.size)
    candidates = points_around(points, scene.size, rule.grid)
    known = np.zeros(len(candidates), dtype=np.bool_)
    first: list[Segment] = []
    for found in found_by_points(points, view, rule, scene.counting(len(points))):
        known |= _confident(found, candidates, rule.confident)
        first.append(found.segment)
    rest = candidates[~known]
    advance = scene.counting(len(points) + len(rest), done=len(points))
    second = [found.segment for found in found_by_points(rest, view, rule, advance)]
    segments = second + first
    scores = [segment.predicted_iou for segment in segments]
    return without_duplicates(segments, scores, overlap=rule.overlap)


def points_around(points: Coordinates, size: Size, grid: int) -> Coordinates:
    """The points [N, 2] around those of the first round that lie in the photo, point by point."""
    height, width = size
    step = np.array([max(1, width // grid), max(1, height // grid)])
    around: Coordinates = (points[:, None] + _OFFSETS * step).reshape(-1, 2)
    return around[((around >= 0) & (around < (width, height))).all(axis=1)]


def _confident(found: Found, points: Coordinates, level: float) -> BoolArray:
    """Which points [N, 2] lie in a pixel of the mask whose logit is above the level."""
    logits, (top, left) = found.measured.logits, found.measured.corner
    columns, rows = (points.astype(np.int64) - (left, top)).T
    inside = (columns >= 0) & (rows >= 0) & (rows < logits.shape[0]) & (columns < logits.shape[1])
    confident = np.zeros(len(points), dtype=np.bool_)
    confident[inside] = logits[rows[inside], columns[inside]] > level
    return confident
