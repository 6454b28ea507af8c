"""The record of a mask: run lengths, area and box."""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray, CocoRle, RunLengths, Segment, runs_from_mask


def segment_from(
    mask: BoolArray,
    score: float,
    *,
    photo_size: tuple[int, int] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> Segment:
    """The segment of a mask, without what found it.

    Args:
        mask: [h, w], the part of the photo that holds the whole mask.
        score: the model's own.
        photo_size: (height, width) in pixels; None if `mask` is of the whole photo.
        corner: (top, left) of the part in the photo. The box of an empty mask is there.
    """
    runs = runs_from_mask(mask, size=photo_size, corner=corner)
    x, y, across, down = _box_of(mask)
    return Segment(
        rle=rle_from(runs),
        area=int(np.count_nonzero(mask)),
        box=(corner[1] + x, corner[0] + y, across, down),
        predicted_iou=score,
    )


def rle_from(runs: RunLengths) -> CocoRle:
    """Packed run lengths as COCO's dictionary."""
    assert isinstance(runs.counts, str)
    return CocoRle(size=list(runs.size), counts=runs.counts)


def _box_of(mask: BoolArray) -> tuple[int, int, int, int]:
    """x, y, width, height between the first and last pixels; zeros for an empty mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x, int(rows[-1]) - y
