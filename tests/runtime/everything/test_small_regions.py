"""Small holes and islands, against a flood fill of the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.records import BoolArray
from edgekit.runtime.everything.small_regions import tidied
from edgekit.runtime.segments import segment_from

SIZE = (19, 23)


def regions_of(mask: BoolArray) -> list[BoolArray]:
    """The regions of a mask; pixels that touch at a corner are of one."""
    left = mask.copy()
    regions = []
    while left.any():
        region = np.zeros_like(mask)
        region[np.unravel_index(left.argmax(), mask.shape)] = True
        while True:
            shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
            padded = np.pad(region, 1)
            shifted = [np.roll(padded, shift, (0, 1)) for shift in shifts]
            grown = mask & np.logical_or.reduce(shifted)[1:-1, 1:-1]
            if (grown == region).all():
                break
            region = grown
        regions.append(region)
        left &= ~region
    return regions


def expected(mask: BoolArray, least: int) -> BoolArray:
    for hole in regions_of(~mask):
        if hole.sum() < least:
            mask = mask | hole
    islands = regions_of(mask)
    large = [island for island in islands if island.sum() >= least] or [max(islands, key=np.sum)]
    return np.logical_or.reduce(large)


@pytest.mark.parametrize("least", [2, 5, 12])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(6))
def test_as_a_flood_fill(seed: int, density: float, least: int) -> None:
    mask = np.random.default_rng(seed).random(SIZE) < density
    after = tidied(segment_from(mask, 0.9), least)
    np.testing.assert_array_equal(after.mask, expected(mask, least))
    redrawn = segment_from(after.mask, 0.9)
    assert (after.rle, after.area, after.box) == (redrawn.rle, redrawn.area, redrawn.box)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros(SIZE, np.bool_),
        np.ones(SIZE, np.bool_),
        np.pad(np.ones((9, 9), np.bool_), ((5, 5), (7, 7))),
    ],
)
def test_a_mask_without_small_regions_stays_the_same_object(mask: BoolArray) -> None:
    segment = segment_from(mask, 0.9)
    assert tidied(segment, 20) is segment


def test_the_largest_of_small_islands_stays() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[2, 2:4] = mask[9:11, 9:11] = True
    assert tidied(segment_from(mask, 0.9), 100).area == 4
