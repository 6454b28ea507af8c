"""The strategies by name, and what each of them requires."""

from __future__ import annotations

from typing import get_args

import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import EverythingRule, Segment, Strategy
from edgekit.records.client import MOST_CROPS, MOST_GRID
from edgekit.runtime.everything.boxes import box_prompts, segments_by_boxes
from edgekit.runtime.everything.found import without_duplicates
from edgekit.runtime.everything.grid import segments_by_grid
from edgekit.runtime.everything.hierarchical import FIRST, segments_by_hierarchy
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.everything.small_regions import tidied


def find_segments(
    strategy: Strategy, scene: Scene, boxes: npt.ArrayLike | None = None
) -> list[Segment]:
    """The objects of a photo.

    Args:
        strategy: where the prompts come from.
        scene: the photo, and the rule to segment it by.
        boxes: [N, 4] x0, y0, x1, y1 in photo pixels, for the strategy "boxes".

    Raises:
        BadInput: as `check_request` and `box_prompts`.
    """
    check_request(strategy, scene.rule, with_boxes=boxes is not None)
    if boxes is not None:
        segments = segments_by_boxes(scene, box_prompts(boxes, scene.size))
    elif strategy == "hierarchical":
        segments = segments_by_hierarchy(scene)
    else:
        segments = segments_by_grid(scene)
    if not scene.rule.min_area:
        return segments
    tidy = [tidied(segment, scene.rule.min_area) for segment in segments]
    return tidy if strategy == "boxes" else _without_new_duplicates(segments, tidy, scene.rule)


def _without_new_duplicates(
    before: list[Segment], after: list[Segment], rule: EverythingRule
) -> list[Segment]:
    """The tidied segments. Of those that now overlap, one that did not change is better."""
    unchanged = [float(old is new) for old, new in zip(before, after, strict=True)]
    overlap = max(rule.overlap, rule.overlap_across_crops)
    return without_duplicates(after, unchanged, overlap=overlap)


def check_request(strategy: Strategy, rule: EverythingRule, *, with_boxes: bool) -> None:
    """Check what was asked for, before the work starts.

    Raises:
        BadInput: there is no such strategy; a number is out of range; or boxes are missing, or
            given to a strategy that takes none.
    """
    if strategy not in get_args(Strategy):
        raise BadInput(
            f"There is no strategy named {strategy!r}.", expected=", ".join(get_args(Strategy))
        )
    fewest = FIRST if strategy == "hierarchical" else 1
    _check_range("grid of points a side", rule.grid, fewest, MOST_GRID)
    _check_range("number of crop layers", rule.crops, 0, MOST_CROPS)
    _check_range("smallest area", rule.min_area, 0, None)
    if rule.crops and strategy != "grid":
        raise BadInput(f"The strategy {strategy!r} takes no crops.", expected="the strategy 'grid'")
    if (strategy == "boxes") != with_boxes:
        raise _boxes_missing() if strategy == "boxes" else _boxes_not_taken(strategy)


def _check_range(name: str, value: int, least: int, most: int | None) -> None:
    if value >= least and (most is None or value <= most):
        return
    expected = f"at least {least}" if most is None else f"{least} to {most}"
    raise BadInput(f"The {name} cannot be {value}.", expected=expected)


def _boxes_missing() -> BadInput:
    return BadInput(
        "The strategy 'boxes' needs boxes, and there are none.",
        expected="boxes of a detector such as FastSAM, or of a file",
        next_step="edgekit predict BUNDLE PHOTO --everything --strategy boxes --detector BUNDLE",
    )


def _boxes_not_taken(strategy: Strategy) -> BadInput:
    return BadInput(
        f"The strategy {strategy!r} takes no boxes.", expected="boxes with the strategy 'boxes'"
    )
