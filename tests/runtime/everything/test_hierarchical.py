"""TinySAM's hierarchical mode: what the second round asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgekit.runtime.everything.hierarchical import points_around
from tests.runtime.everything.things import Thing

Make = Callable[..., Any]
ALL = (0, 0, 256, 256)


def test_without_a_confident_mask_all_points_are_asked_for(scenery: Make) -> None:
    scene = scenery(grid=16)
    assert scene.predictor.everything("hierarchical") == []
    first, second = scene.decoder.points[:16], scene.decoder.points[16:]
    assert first[:2] == [(32, 32), (96, 32)]
    # Around the first: three columns of three without the middle, two columns on, two rows on.
    steps = [(16, 16), (16, 32), (16, 48), (32, 16), (32, 48), (48, 16), (48, 32), (48, 48)]
    steps += [(64, 16), (64, 32), (64, 48), (16, 64), (32, 64), (48, 64), (64, 64)]
    assert second[:15] == steps
    assert len(set(scene.decoder.points)) == 15 * 15  # the last column and row end at the edge


@pytest.mark.parametrize(
    ("thing", "known"),
    [
        (Thing(box=(0, 0, 128, 256)), True),
        (Thing(box=(0, 0, 128, 256), logit=8.0), False),  # not confident enough
        (Thing(box=(0, 0, 128, 256), score=0.5), False),  # not kept
    ],
)
def test_points_in_confident_masks_are_left_out(scenery: Make, thing: Thing, known: bool) -> None:
    scene = scenery(thing, grid=16)
    scene.predictor.everything("hierarchical")
    asked = {point for point in scene.decoder.points[16:] if point[0] < 128}
    assert (not asked) == known
    assert any(point[0] > 128 for point in scene.decoder.points[16:])


def test_if_the_first_round_knows_all_its_masks_are_the_result(scenery: Make) -> None:
    told: list[tuple[int, int]] = []
    scene = scenery(Thing(box=ALL), grid=16)
    segments = scene.predictor.everything("hierarchical", on_progress=lambda *s: told.append(s))
    assert [segment.area for segment in segments] == [256 * 256]
    assert len(scene.decoder.points) == 16
    assert told[-1] == (16, 16)


def test_equal_scores_prefer_the_second_round(scenery: Make) -> None:
    scene = scenery(Thing(box=(0, 0, 256, 250), logit=8.0), grid=16)
    (segment,) = scene.predictor.everything("hierarchical")
    assert segment.point == (16, 16)


def test_a_photo_smaller_than_the_grid_has_steps_of_one_pixel() -> None:
    around = points_around(np.array([[5.0, 5.0]]), (20, 20), 32)
    assert around[:3].tolist() == [[4, 4], [4, 5], [4, 6]]


def test_no_point_lies_outside_the_photo() -> None:
    around = points_around(np.array([[0.25, 0.25], [3.5, 2.5]]), (3, 4), 32)
    assert ((around >= 0) & (around < (4, 3))).all()
    assert len(around) > 0
