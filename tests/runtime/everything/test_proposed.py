"""Points of a proposal network: which cells are proposed, where they lie, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import EverythingRule, Feeds, FloatArray, Preprocessing
from edgekit.runtime.everything.proposed import LEAST, proposed_points
from edgekit.runtime.proposals import ProposalNetwork
from tests.runtime.everything.things import Thing

Make = Callable[..., Any]
RULE = EverythingRule()


class Known(ProposalNetwork):
    """Is confident in the cells of `sure`, (row, column) of 64 x 64, whatever the features are."""

    sure: dict[tuple[int, int], float]

    def confidence(self, _: Feeds) -> FloatArray:
        return confidence_of(self.sure)


def confidence_of(sure: dict[tuple[int, int], float]) -> FloatArray:
    confidence = np.zeros((64, 64), np.float32)
    for cell, level in sure.items():
        confidence[cell] = level
    return confidence


def network(sure: dict[tuple[int, int], float]) -> Known:
    known = Known(model="nanosam", weights=("seed 0",), tensors={})
    object.__setattr__(known, "sure", sure)
    return known


def points_of(
    sure: dict[tuple[int, int], float],
    size: tuple[int, int],
    *,
    preprocessing: Preprocessing = SAM_CLIENT.preprocessing,
    most: int = 128,
) -> list[list[float]]:
    rule = replace(RULE, points=most)
    return proposed_points(confidence_of(sure), size, preprocessing, rule=rule).tolist()


def test_points_lie_in_the_middle_of_their_cells_best_first() -> None:
    # A cell is 16 pixels of the frame; the photo of 512 x 512 pixels is enlarged twofold.
    assert points_of({(0, 0): 0.5, (10, 40): 0.9}, (512, 512)) == [[324, 84], [4, 4]]


def test_a_neighbour_of_a_better_cell_is_left_out() -> None:
    sure = {(9, 9): 0.9, (9, 10): 0.8, (10, 10): 0.7, (9, 11): 0.6, (9, 7): 0.5}
    assert points_of(sure, (1024, 1024)) == [[152, 152], [184, 152], [120, 152]]


def test_cells_that_are_not_confident_are_left_out() -> None:
    assert points_of({(3, 3): LEAST, (9, 9): 0.99 * LEAST}, (1024, 1024)) == [[56, 56]]


def test_no_more_points_than_asked_for() -> None:
    sure = {(5, 5): 0.2, (9, 9): 0.9, (20, 20): 0.5}
    assert points_of(sure, (1024, 1024), most=2) == [[152, 152], [328, 328]]


def test_cells_of_the_padding_are_left_out() -> None:
    sure = {(31, 5): 0.5, (32, 5): 0.9, (63, 63): 0.9}  # a photo of 1024 x 512 fills 32 rows
    assert points_of(sure, (512, 1024)) == [[88, 504]]


def test_a_centred_photo_is_found_in_its_place() -> None:
    rule = replace(SAM_CLIENT.preprocessing, fit="centred")
    sure = {(15, 5): 0.9, (16, 5): 0.5}  # 256 frame pixels above the photo
    assert points_of(sure, (512, 1024), preprocessing=rule) == [[88, 8]]


def test_masks_of_the_points_pass_the_same_filters(scenery: Make) -> None:
    good, twice, poor = (16, 16, 96, 96), (16, 16, 96, 100), (128, 128, 200, 200)
    scene = scenery(Thing(box=good), Thing(box=twice, score=0.95), Thing(box=poor, score=0.5))
    sure = {(10, 10): 0.9, (24, 10): 0.8, (40, 40): 0.7, (60, 10): 0.6}
    told: list[tuple[int, int]] = []
    segments = scene.predictor.everything(
        "proposed", proposals=network(sure), on_progress=lambda *step: told.append(step)
    )
    # A photo of 256 x 256 pixels has cells of 4 pixels.
    assert scene.decoder.points == [(42, 42), (42, 98), (162, 162), (42, 242)]
    assert [(segment.area, segment.point) for segment in segments] == [(80 * 84, (42, 98))]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_no_confident_cell_gives_no_segment(scenery: Make) -> None:
    scene = scenery(Thing(box=(0, 0, 256, 256)))
    assert scene.predictor.everything("proposed", proposals=network({})) == []
    assert scene.decoder.points == []


@pytest.mark.parametrize(
    ("strategy", "given", "changes", "words"),
    [
        ("proposed", False, {}, "needs a proposal network"),
        ("grid", True, {}, "'grid' takes no proposals"),
        ("proposed", True, {"points": 0}, "proposed points cannot be 0"),
        ("proposed", True, {"points": 5000}, "1 to 1024"),
        ("proposed", True, {"crops": 1}, "takes no crops"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    scenery: Make, strategy: str, given: bool, changes: dict[str, int], words: str
) -> None:
    proposals = network({}) if given else None
    with pytest.raises(BadInput, match=words):
        scenery(**changes).predictor.everything(strategy, proposals=proposals)
