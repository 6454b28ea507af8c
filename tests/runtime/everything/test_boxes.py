"""One mask for each box, without a filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgekit.errors import BadInput

Make = Callable[..., Any]
A, B = (10, 10, 90, 90), (12, 10, 90, 90)


@pytest.mark.parametrize("boxes", [[A, B, A], np.array([A, B, A], np.float32)])
def test_each_box_has_its_mask_in_order(scenery: Make, boxes: npt.ArrayLike) -> None:
    segments = scenery(stability=0.99, predicted_iou=0.99).predictor.everything(
        "boxes", boxes=boxes
    )
    assert [segment.prompt_box for segment in segments] == [A, B, A]
    assert [segment.area for segment in segments] == [80 * 80, 78 * 80, 80 * 80]
    assert {segment.point for segment in segments} == {None}


def test_a_box_is_clipped_to_the_photo(scenery: Make) -> None:
    (segment,) = scenery().predictor.everything("boxes", boxes=[(-20, -20, 100, 300)])
    assert segment.prompt_box == (0, 0, 100, 256)


def test_no_box_gives_no_segment(scenery: Make) -> None:
    assert scenery().predictor.everything("boxes", boxes=[]) == []


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([A, (90, 10, 10, 90)], r"Box 1: .*no area"),
        ([A, (300, 300, 400, 400)], r"Box 1: .*outside the photo"),
        ([A, (1, 2, 3)], r"Box 1: .*shape"),
        ([A, "left"], r"Box 1: .*numbers"),
        (5, r"Box 0: .*shape"),
    ],
)
def test_the_message_names_the_box(scenery: Make, boxes: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        scenery().predictor.everything("boxes", boxes=boxes)


def test_a_decoder_detects_no_boxes(scenery: Make) -> None:
    with pytest.raises(BadInput, match="detects no boxes"):
        scenery().predictor.detected_boxes()
