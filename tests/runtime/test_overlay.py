"""The picture shows each mask in its own colour, and the prompts."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.records import BoolArray, Rgb
from edgekit.runtime import Prediction, Prompt, draw, draw_segments
from edgekit.runtime.overlay import PALETTE, POINT_COLOURS
from edgekit.runtime.segments import segment_from


@pytest.fixture
def grey() -> Rgb:
    return np.full((120, 160, 3), 128, dtype=np.uint8)


def prediction(*masks: BoolArray) -> Prediction:
    count = len(masks)
    scores, low_res = np.ones(count, np.float32), np.zeros((count, 256, 256), np.float32)
    return Prediction(np.stack(masks), scores, low_res)


def square(top: int, left: int, side: int = 40) -> BoolArray:
    mask = np.zeros((120, 160), dtype=np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def test_mask_is_tinted_and_outlined(grey: Rgb) -> None:
    picture = np.asarray(draw(grey, [prediction(square(40, 40))])).astype(int)
    colour = np.array(PALETTE[0])
    tinted = 128 + 0.45 * (colour - 128)
    assert np.abs(picture[60, 60] - tinted).max() <= 1
    assert np.abs(picture[60, 39:41] - colour).max() <= 30
    untouched = ~square(30, 30, side=60)
    assert (picture[untouched] == 128).all()


def test_masks_have_distinct_colours(grey: Rgb) -> None:
    several = [prediction(square(10, 10), square(10, 90)), prediction(square(70, 10))]
    picture = np.asarray(draw(grey, several))
    inside = {tuple(picture[y, x].tolist()) for y, x in ((30, 30), (30, 110), (90, 30), (100, 140))}
    assert len(inside) == 4


def test_more_masks_than_colours(grey: Rgb) -> None:
    draw(grey, [prediction(square(5, 5)) for _ in range(len(PALETTE) + 1)])


def test_points_and_box(grey: Rgb) -> None:
    prompt = Prompt.checked(points=[[60, 60], [100, 30]], labels=[1, 0], box=[20, 20, 160, 120])
    picture = np.asarray(draw(grey, [prediction(square(40, 40))], [prompt]))
    assert tuple(picture[60, 60]) == POINT_COLOURS[1]
    assert tuple(picture[30, 100]) == POINT_COLOURS[0]
    assert (picture == 255).all(axis=2).any()  # the white rim
    for y, x in ((20, 90), (119, 90), (80, 20), (80, 158), (118, 90)):
        assert tuple(picture[y, x]) == PALETTE[0]


def test_point_at_the_corner(grey: Rgb) -> None:
    corner = Prompt.checked(points=[[160, 120], [0, 0]], labels=[1, 1])
    picture = np.asarray(draw(grey, [], [corner]))
    for y, x in ((119, 159), (0, 0)):
        assert np.abs(picture[y, x].astype(int) - POINT_COLOURS[1]).max() < 10


def test_empty_mask_changes_nothing(grey: Rgb) -> None:
    nothing = np.zeros((120, 160), dtype=np.bool_)
    assert np.array_equal(np.asarray(draw(grey, [prediction(nothing)])), grey)


def test_photo_is_not_modified(grey: Rgb) -> None:
    draw(grey, [prediction(square(10, 10))])
    assert (grey == 128).all()


def test_segments_have_colours_of_their_own_and_lines_between_them(grey: Rgb) -> None:
    small, large = segment_from(square(50, 50, 20), 0.9), segment_from(square(40, 40, 60), 0.8)
    picture = np.asarray(draw_segments(grey, [small, large, segment_from(square(0, 0, 0), 0.7)]))
    inside, around = picture[60, 60].astype(int), picture[90, 90].astype(int)
    assert np.abs(inside - around).max() > 20
    assert (np.ptp(inside) > 20) & (np.ptp(around) > 20)
    assert picture[60, 50].min() > 200  # a white line
    untouched = ~square(35, 35, 70)
    assert (picture[untouched] == 128).all()


def test_no_segment_leaves_the_photo(grey: Rgb) -> None:
    assert np.array_equal(np.asarray(draw_segments(grey, [])), grey)
