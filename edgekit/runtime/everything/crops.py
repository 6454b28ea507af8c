"""Crops of a photo that are segmented on their own, for small objects.

Source of the rules: facebookresearch/segment-anything, utils/amg.py.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from edgekit.records import EverythingRule
from edgekit.runtime.prediction import Size

CropBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in photo pixels."""

NEAR = 20
"""Photo pixels. A box that ends nearer than this to an edge ends at it."""


def crops_with_grids(size: Size, rule: EverythingRule) -> list[tuple[CropBox, int]]:
    """Each crop and its number of points a side: the whole photo first, then layer by layer.

    Args:
        size: (height, width) of the photo.
        rule: how many layers, how much crops overlap, and how many points they have.
    """
    height, width = size
    crops: list[tuple[CropBox, int]] = [((0, 0, width, height), rule.grid)]
    for layer in range(1, rule.crops + 1):
        grid = max(1, int(rule.grid / rule.crop_grid_divisor**layer))
        crops += [(crop, grid) for crop in _crops(size, rule, 2**layer)]
    return crops


def _crops(size: Size, rule: EverythingRule, count: int) -> list[CropBox]:
    """`count` x `count` crops, column by column."""
    height, width = size
    shared = int(rule.crop_overlap * min(size) * (2 / count))
    columns, rows = _spans(width, count, shared), _spans(height, count, shared)
    return [(x0, y0, x1, y1) for (x0, x1), (y0, y1) in product(columns, rows)]


def _spans(length: int, count: int, shared: int) -> list[tuple[int, int]]:
    side = math.ceil((shared * (count - 1) + length) / count)
    starts = [(side - shared) * index for index in range(count)]
    return [(start, min(start + side, length)) for start in starts]


def ends_at_crop(box: tuple[float, float, float, float], crop: CropBox, size: Size) -> bool:
    """Whether a box (x, y, width, height) ends at an edge of the crop inside the photo.

    Such an object goes on outside the crop, so its mask is a part of it only.
    """
    height, width = size
    x, y, across, down = box
    sides = np.array([x, y, x + across, y + down])
    at_crop = np.abs(sides - crop) <= NEAR
    at_photo = np.abs(sides - (0, 0, width, height)) <= NEAR
    return bool((at_crop & ~at_photo).any())
