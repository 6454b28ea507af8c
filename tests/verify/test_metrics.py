"""IoU, logit cosine and logit error."""

import numpy as np
import pytest

from edgekit.verification.metrics import logit_cosine, mask_iou, max_abs_error

NOTHING = np.zeros((4, 4), bool)
LEFT = np.zeros((4, 4), bool)
LEFT[:, :2] = True
TOP = LEFT.T


def test_iou_of_equal_masks_is_one():
    assert mask_iou(LEFT, LEFT) == 1.0


def test_iou_counts_shared_over_all_pixels():
    assert mask_iou(LEFT, TOP) == pytest.approx(4 / 12)


def test_two_empty_masks_agree():
    assert mask_iou(NOTHING, NOTHING) == 1.0


def test_an_empty_mask_against_something_is_zero():
    assert mask_iou(NOTHING, LEFT) == 0.0


def test_cosine_sees_direction_and_not_scale():
    logits = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)
    assert logit_cosine(logits, 7 * logits) == pytest.approx(1.0)
    assert logit_cosine(logits, -logits) == pytest.approx(-1.0)
    assert logit_cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_cosine_of_zero_maps():
    zero, one = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    assert logit_cosine(zero, zero) == 1.0
    assert logit_cosine(zero, one) == 0.0


def test_cosine_of_huge_logits_does_not_overflow():
    huge = np.full((2, 2), 1e38, np.float32)
    assert logit_cosine(huge, huge) == pytest.approx(1.0)


def test_error_is_the_largest_difference_either_way():
    first = np.array([1.0, 2.0, 3.0], np.float32)
    assert max_abs_error(first, first + np.array([0.0, -0.5, 0.25], np.float32)) == 0.5
    assert max_abs_error(first, first) == 0.0
