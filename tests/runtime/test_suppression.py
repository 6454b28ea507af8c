"""Non-maximum suppression, as torchvision's."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.suppression import box_ious, suppress_overlaps

BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30], [0, 0, 10, 9]], np.float32)


@pytest.mark.parametrize(
    ("scores", "overlap", "most", "kept"),
    [
        ([0.9, 0.8, 0.7, 0.6], 0.7, None, [0, 2]),
        ([0.7, 0.8, 0.9, 0.6], 0.7, None, [2, 1]),
        ([0.9, 0.8, 0.7, 0.6], 0.8, None, [0, 1, 2]),  # 0.8 is not above 0.8
        ([0.5, 0.5, 0.5, 0.5], 0.7, None, [0, 2]),
        ([0.9, 0.8, 0.7, 0.6], 1.0, 3, [0, 1, 2]),
    ],
)
def test_suppression(
    scores: list[float], overlap: float, most: int | None, kept: list[int]
) -> None:
    ranks = np.array(scores, np.float32)
    assert suppress_overlaps(BOXES, ranks, overlap=overlap, most=most).tolist() == kept


def test_boxes_without_area_suppress_nothing() -> None:
    flat = np.zeros((2, 4), np.float32)
    assert box_ious(flat[0], flat).tolist() == [0, 0]
    assert suppress_overlaps(flat, np.zeros(2, np.float32), overlap=0.0).tolist() == [0, 1]
