"""Each rule of SAM's automatic mask generator, on things of known shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import EverythingRule, Segment
from edgekit.runtime.everything.crops import crops_with_grids, ends_at_crop
from edgekit.runtime.everything.found import grid_points
from tests.runtime.everything.things import Thing

A, B, C = (10, 10, 90, 90), (120, 20, 200, 100), (30, 140, 220, 230)
Make = Callable[..., Any]


def boxes(segments: list[Segment]) -> list[tuple[float, ...]]:
    """The corners of the segments' boxes, as the things have them."""
    return [
        (x, y, x + width + 1, y + height + 1) for x, y, width, height in (s.box for s in segments)
    ]


def test_each_thing_is_found_once_best_first(scenery: Make) -> None:
    scene = scenery(Thing(box=A, score=0.9), Thing(box=B, score=0.95), Thing(box=C, score=0.92))
    segments = scene.predictor.everything()
    assert boxes(segments) == [B, C, A]
    for segment, box in zip(segments, (B, C, A), strict=True):
        x0, y0, x1, y1 = box
        assert segment.mask.shape == (256, 256)
        assert segment.mask[y0:y1, x0:x1].all()
        assert segment.area == segment.mask.sum() == (x1 - x0) * (y1 - y0)
        assert (segment.stability, segment.crop_box) == (1, (0, 0, 256, 256))
        assert segment.point is not None
        assert x0 <= segment.point[0] < x1
    assert [s.predicted_iou for s in segments] == pytest.approx([0.95, 0.92, 0.9])


def test_points_are_the_middles_of_cells_row_by_row(scenery: Make) -> None:
    scene = scenery()
    assert scene.predictor.everything(grid=2) == []
    assert scene.decoder.points == [(64, 64), (192, 64), (64, 192), (192, 192)]
    assert grid_points(2, (30, 40)).tolist() == [[10, 7.5], [30, 7.5], [10, 22.5], [30, 22.5]]


@pytest.mark.parametrize(
    ("thing", "rule", "kept"),
    [
        (Thing(box=A, score=0.875), {"predicted_iou": 0.875}, False),  # above, not at
        (Thing(box=A, score=0.876), {"predicted_iou": 0.875}, True),
        (Thing(box=A, score=-1.0), {"predicted_iou": 0.0}, True),  # no threshold
        (Thing(box=A, score=float("nan")), {}, False),
        (Thing(box=A, hem=10), {"stability": 0.64}, True),  # 80 x 80 of 100 x 100: at the threshold
        (Thing(box=A, hem=10), {"stability": 0.6401}, False),
        (Thing(box=A, hem=10), {"stability": 0.0}, True),
        (Thing(box=A, hem=10), {"stability_offset": 0.4}, True),  # the hem is at -0.5
        (Thing(box=A, logit=-9.0), {}, False),  # empty: its stability is not a number
        (Thing(box=A, logit=float("nan")), {}, False),
    ],
)
def test_thresholds(scenery: Make, thing: Thing, rule: dict[str, float], kept: bool) -> None:
    assert len(scenery(thing, **rule).predictor.everything()) == kept


@pytest.mark.parametrize(("overlap", "kept"), [(0.7, 1), (0.8, 2)])
def test_of_two_boxes_that_overlap_the_better_stays(
    scenery: Make, overlap: float, kept: int
) -> None:
    larger, smaller = (10, 10, 91, 91), (10, 10, 91, 71)  # boxes of 80 x 80 and 80 x 60: IoU 0.75
    things = Thing(box=smaller, score=0.91), Thing(box=larger, score=0.93)
    segments = scenery(*things, overlap=overlap).predictor.everything()
    assert boxes(segments) == [larger, smaller][:kept]


def test_equal_scores_stay_in_the_order_of_the_points(scenery: Make) -> None:
    segments = scenery(Thing(box=C), Thing(box=B), Thing(box=A)).predictor.everything()
    assert boxes(segments) == [A, B, C]


def test_a_crop_is_encoded_and_its_masks_lie_in_the_photo(scenery: Make) -> None:
    scene = scenery(Thing(box=(40, 40, 200, 200)), crops=1, crop_grid_divisor=2, overlap=0.9)
    segments = scene.predictor.everything()
    assert len(scene.encoder.images) == 5
    assert len(scene.decoder.points) == 64 + 4 * 16
    assert [segment.crop_box for segment in segments] == [  # smaller crops first
        (85, 85, 171, 171),
        (0, 85, 172, 171),
        (85, 0, 171, 172),
        (0, 0, 172, 172),
        (0, 0, 256, 256),
    ]
    x0, y0, x1, y1 = (round(side * 172 / 256) for side in (40, 40, 200, 200))
    assert np.abs(np.array(segments[3].box) - (x0, y0, x1 - x0 - 1, y1 - y0 - 1)).max() <= 1


def test_crops_overlap_and_cover_the_photo() -> None:
    rule = EverythingRule(grid=32, crops=2, crop_grid_divisor=2)
    crops = crops_with_grids((428, 640), rule)
    assert [grid for _, grid in crops] == [32] + 4 * [16] + 16 * [8]
    assert crops[1:5] == [  # upstream's, from the top left one column by column
        ((0, 0, 393, 287), 16),
        ((0, 141, 393, 428), 16),
        ((247, 0, 640, 287), 16),
        ((247, 141, 640, 428), 16),
    ]
    covered = np.zeros((428, 640), bool)
    for (x0, y0, x1, y1), _ in crops[5:]:
        covered[y0:y1, x0:x1] = True
    assert covered.all()


@pytest.mark.parametrize(
    ("box", "ends"),
    [
        ((60, 60, 100, 100), False),
        ((60, 60, 219, 100), False),  # 21 pixels from the crop's right
        ((60, 60, 220, 100), True),  # 20 pixels
        ((0, 60, 100, 100), False),  # at the photo's own left
        ((60, 60, 100, 330), True),  # beyond the crop's bottom by less than 20
    ],
)
def test_a_mask_that_ends_at_the_edge_of_a_crop_is_a_part(
    box: tuple[int, int, int, int], ends: bool
) -> None:
    assert ends_at_crop(box, (0, 0, 300, 400), (600, 800)) == ends


def test_progress_counts_prompts(scenery: Make) -> None:
    told: list[tuple[int, int]] = []
    scenery().predictor.everything(grid=3, on_progress=lambda *step: told.append(step))
    assert told == [(done, 9) for done in range(1, 10)]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"grid": 0}, "grid of points a side cannot be 0"),
        ({"grid": 1000}, "(?s)cannot be 1000.*1 to 256"),
        ({"strategy": "hierarchical", "grid": 3}, "(?s)cannot be 3.*4 to 256"),
        ({"strategy": "random"}, "no strategy named 'random'"),
        ({"strategy": "boxes"}, "needs boxes"),
        ({"strategy": "grid", "boxes": [A]}, "'grid' takes no boxes"),
        ({"rule": EverythingRule(crops=4)}, "crop layers cannot be 4"),
        ({"rule": EverythingRule(min_area=-1)}, "smallest area cannot be -1"),
        ({"rule": EverythingRule(crops=1), "strategy": "hierarchical"}, "takes no crops"),
    ],
)
def test_bad_input(scenery: Make, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        scenery().predictor.everything(**asked)


def test_a_rule_replaces_the_familys(scenery: Make) -> None:
    scene = scenery(Thing(box=A, score=0.5))
    rule = scene.predictor.client.everything
    assert scene.predictor.everything() == []
    assert len(scene.predictor.everything(rule=replace(rule, predicted_iou=0.4))) == 1
