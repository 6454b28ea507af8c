"""Which masks of one set another set has too: pairs of masks, one to one, by IoU.

Pairs are taken by falling IoU, as COCO's evaluation does. That can find fewer pairs than an optimal
assignment (SciPy's, which a device may not have), never more. It does so only where two masks of
one side resemble the same mask of the other: at an IoU of 0.9 such twins overlap by 0.8 themselves
(1 - IoU is a metric), and the box NMS of the grid removes nearly all of those.

Masks stay run lengths, so that memory does not grow with masks times pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.records import CocoRle

Ious = npt.NDArray[np.float64]

THRESHOLDS = (0.5, 0.75, 0.9)
"""IoU from which a pair of masks counts as the same object. The last one is the strict one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Two sets of masks of one photo.

    reference, candidate: the number of masks in each.
    ious: of the matched pairs, falling, none below the first of `THRESHOLDS`.
    """

    photo: str
    reference: int
    candidate: int
    ious: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the sets of all photos agree, if pairs from `threshold` on count as matched.

    matched: the number of pairs.
    share: 2 * matched / (masks of both sides). Extra masks cost as much as missing ones; this is
        the recognition quality of panoptic segmentation (arXiv 1801.00868). No masks at all give 1.
    recall: matched / masks of the reference; 1 if it has none.
    mean_iou: of the matched pairs; None if there are none.
    """

    threshold: float
    matched: int
    share: float
    recall: float
    mean_iou: float | None


def match(reference: Sequence[CocoRle], candidate: Sequence[CocoRle], *, photo: str) -> Matching:
    """Pair the masks of two sets, all of one size, with each other."""
    return Matching(
        photo=photo,
        reference=len(reference),
        candidate=len(candidate),
        ious=matched_ious(rle_ious(reference, candidate)),
    )


def rle_ious(first: Sequence[CocoRle], second: Sequence[CocoRle]) -> Ious:
    """IoU [K, L] of each of K masks with each of L, all of one size. Two empty masks give 1."""
    from pycocotools import mask

    if not (first and second):
        return np.zeros((len(first), len(second)))
    ious: Ious = mask.iou(list(first), list(second), [False] * len(second))
    empty, also_empty = mask.area(list(first)) == 0, mask.area(list(second)) == 0
    ious[np.ix_(empty, also_empty)] = 1
    return ious


def matched_ious(ious: Ious) -> tuple[float, ...]:
    """IoUs of the pairs, falling, in which each row and column of `ious` [K, L] is used once.

    The best pair that is left is taken, the first in reading order among equals.
    """
    rows, columns = np.nonzero(ious >= THRESHOLDS[0])
    falling = np.argsort(-ious[rows, columns], kind="stable")
    matched: list[float] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for row, column in zip(rows[falling].tolist(), columns[falling].tolist(), strict=True):
        if row not in used[0] and column not in used[1]:
            used[0].add(row)
            used[1].add(column)
            matched.append(float(ious[row, column]))
    return tuple(matched)


def agreement(photos: Iterable[Matching]) -> tuple[Agreement, ...]:
    """The agreement over the masks of all photos together, for each of `THRESHOLDS`."""
    rows = list(photos)
    reference = sum(row.reference for row in rows)
    both = reference + sum(row.candidate for row in rows)
    ious = np.array([iou for row in rows for iou in row.ious])
    return tuple(
        _agreement(ious[ious >= threshold], threshold, reference=reference, both=both)
        for threshold in THRESHOLDS
    )


def _agreement(ious: Ious, threshold: float, *, reference: int, both: int) -> Agreement:
    return Agreement(
        threshold=threshold,
        matched=len(ious),
        share=2 * len(ious) / both if both else 1.0,
        recall=len(ious) / reference if reference else 1.0,
        mean_iou=float(ious.mean()) if len(ious) else None,
    )
