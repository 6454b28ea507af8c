"""Pairs of masks of two sets, with cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.records import CocoRle, runs_from_mask
from edgekit.runtime.segments import rle_from
from edgekit.verification.matching import Matching, agreement, match, matched_ious, rle_ious


def bar(start: int, stop: int) -> CocoRle:
    """A mask of whole columns of a photo of 100 x 4 pixels."""
    mask = np.zeros((4, 100), bool)
    mask[:, start:stop] = True
    return rle_from(runs_from_mask(mask))


NOTHING = bar(0, 0)


def test_the_ious_of_run_lengths() -> None:
    first, second = [bar(0, 10), NOTHING], [bar(0, 9), bar(5, 15), NOTHING]
    assert rle_ious(first, second) == pytest.approx(np.array([[0.9, 5 / 15, 0], [0, 0, 1]]))
    assert rle_ious([], second).shape == (0, 3)
    assert rle_ious(first, []).shape == (2, 0)


@pytest.mark.parametrize(
    ("ious", "matched"),
    [
        pytest.param([[1.0, 0.0], [0.0, 0.8]], (1.0, 0.8), id="each has its own"),
        pytest.param([[0.6], [0.9]], (0.9,), id="the better of two takes the only one"),
        pytest.param([[0.9], [0.9]], (0.9,), id="twins match once"),
        pytest.param([[0.95, 0.92], [0.94, 0.1]], (0.95,), id="greedy, where 0.94 + 0.92 fit too"),
        pytest.param([[0.7, 0.9], [0.6, 0.8]], (0.9, 0.6), id="what is left is matched too"),
        pytest.param([[0.5, 0.49], [0.49, 0.49]], (0.5,), id="below 0.5 is no match"),
        pytest.param(np.zeros((0, 3)), (), id="nothing against three"),
        pytest.param(np.zeros((2, 0)), (), id="two against nothing"),
    ],
)
def test_pairs_are_taken_by_falling_iou(ious: object, matched: tuple[float, ...]) -> None:
    assert matched_ious(np.asarray(ious, np.float64)) == matched


@pytest.mark.parametrize(
    ("reference", "candidate", "share", "recall", "mean_iou"),
    [
        pytest.param([], [], 1, 1, None, id="nothing on both sides"),
        pytest.param([bar(0, 10)], [], 0, 0, None, id="one missing"),
        pytest.param([], [bar(0, 10)], 0, 1, None, id="one too many"),
        pytest.param([bar(0, 10)], [bar(0, 10)], 1, 1, 1, id="the same"),
        pytest.param([bar(0, 10)], [bar(0, 9)], 1, 1, 0.9, id="nine columns of ten: just enough"),
        pytest.param([bar(0, 100)], [bar(0, 89)], 0, 0, None, id="89 columns of 100: too few"),
        pytest.param(
            [bar(0, 10), bar(50, 70)],
            [bar(50, 69), bar(0, 10), bar(30, 40)],
            2 * 2 / 5,
            1,
            (1 + 19 / 20) / 2,
            id="both found, one too many",
        ),
        pytest.param([bar(0, 10)] * 2, [bar(0, 10)], 2 / 3, 1 / 2, 1, id="twins match once"),
        pytest.param([NOTHING], [NOTHING], 1, 1, 1, id="an empty mask each"),
    ],
)
def test_agreement_at_an_iou_of_0_9(
    reference: list, candidate: list, share: float, recall: float, mean_iou: float | None
) -> None:
    matching = match(reference, candidate, photo="a")
    assert (matching.reference, matching.candidate) == (len(reference), len(candidate))
    strict = agreement([matching])[-1]
    assert strict.threshold == 0.9
    assert (strict.share, strict.recall) == pytest.approx((share, recall))
    assert strict.mean_iou == (None if mean_iou is None else pytest.approx(mean_iou))


def test_agreement_is_over_the_masks_of_all_photos() -> None:
    photos = [
        Matching(photo="many", reference=6, candidate=4, ious=(1.0, 0.9, 0.8, 0.6)),
        Matching(photo="none", reference=0, candidate=0, ious=()),
        Matching(photo="extra", reference=0, candidate=2, ious=()),
    ]
    loose, middle, strict = agreement(photos)
    assert [row.threshold for row in (loose, middle, strict)] == [0.5, 0.75, 0.9]
    assert [row.matched for row in (loose, middle, strict)] == [4, 3, 2]
    assert [row.share for row in (loose, middle, strict)] == [8 / 12, 6 / 12, 4 / 12]
    assert [row.recall for row in (loose, middle, strict)] == [4 / 6, 3 / 6, 2 / 6]
    assert middle.mean_iou == pytest.approx(0.9)
    assert strict.mean_iou == pytest.approx(0.95)
