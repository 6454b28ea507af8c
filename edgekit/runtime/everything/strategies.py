"""The strategies by name, and what each of them requires."""

from __future__ import annotations

from typing import get_args

import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import EverythingRule, Segment, Strategy
from edgekit.records.client import MOST_CROPS, MOST_GRID, MOST_POINTS
from edgekit.runtime.everything.boxes import box_prompts, segments_by_boxes
from edgekit.runtime.everything.found import without_duplicates
from edgekit.runtime.everything.grid import segments_by_grid
from edgekit.runtime.everything.hierarchical import FIRST, segments_by_hierarchy
from edgekit.runtime.everything.proposed import segments_by_proposals
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.everything.small_regions import tidied
from edgekit.runtime.proposals import ProposalNetwork


def find_segments(
    strategy: Strategy,
    scene: Scene,
    boxes: npt.ArrayLike | None = None,
    proposals: ProposalNetwork | None = None,
) -> list[Segment]:
    """The objects of a photo.

    Args:
        strategy: where the prompts come from.
        scene: the photo, and the rule to segment it by.
        boxes: [N, 4] x0, y0, x1, y1 in photo pixels, for the strategy "boxes".
        proposals: for the strategy "proposed".

    Raises:
        BadInput: as `check_request`, `box_prompts` and `segments_by_proposals`.
    """
    check_request(
        strategy,
        scene.rule,
        with_boxes=boxes is not None,
        with_proposals=proposals is not None,
    )
    if boxes is not None:
        segments = segments_by_boxes(scene, box_prompts(boxes, scene.size))
    elif proposals is not None:
        segments = segments_by_proposals(scene, proposals)
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


def check_request(
    strategy: Strategy, rule: EverythingRule, *, with_boxes: bool, with_proposals: bool = False
) -> None:
    """Check what was asked for, before the work starts.

    Raises:
        BadInput: there is no such strategy; a number is out of range; or boxes or proposals are
            missing, or given to a strategy that takes none.
    """
    if strategy not in get_args(Strategy):
        raise BadInput(
            f"There is no strategy named {strategy!r}.", expected=", ".join(get_args(Strategy))
        )
    fewest = FIRST if strategy == "hierarchical" else 1
    _check_range("grid of points a side", rule.grid, fewest, MOST_GRID)
    _check_range("number of crop layers", rule.crops, 0, MOST_CROPS)
    _check_range("smallest area", rule.min_area, 0, None)
    _check_range("number of proposed points", rule.points, 1, MOST_POINTS)
    if rule.crops and strategy != "grid":
        raise BadInput(f"The strategy {strategy!r} takes no crops.", expected="the strategy 'grid'")
    _check_source(strategy, with_boxes=with_boxes, with_proposals=with_proposals)


def _check_source(strategy: Strategy, *, with_boxes: bool, with_proposals: bool) -> None:
    """Check that the prompts have the source that the strategy takes, and no other."""
    if strategy == "boxes" and not with_boxes:
        raise _boxes_missing()
    if strategy == "proposed" and not with_proposals:
        raise _proposals_missing()
    if with_boxes and strategy != "boxes":
        raise _not_taken(strategy, "boxes", by="boxes")
    if with_proposals and strategy != "proposed":
        raise _not_taken(strategy, "proposals", by="proposed")


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


def _proposals_missing() -> BadInput:
    return BadInput(
        "The strategy 'proposed' needs a proposal network, and there is none.",
        expected="the file that `edgekit train MODEL --proposals` wrote",
        next_step="edgekit train MODEL --proposals makes it; give it as --proposals FILE",
    )


def _not_taken(strategy: Strategy, what: str, *, by: Strategy) -> BadInput:
    return BadInput(
        f"The strategy {strategy!r} takes no {what}.", expected=f"{what} with the strategy {by!r}"
    )
