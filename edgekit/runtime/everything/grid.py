"""Points in rows and columns over the photo and its crops: SAM's automatic mask generator.

Source: facebookresearch/segment-anything, automatic_mask_generator.py.
"""

from __future__ import annotations

from edgekit.records import Segment
from edgekit.runtime.everything.crops import crops_with_grids, ends_at_crop
from edgekit.runtime.everything.found import found_by_points, grid_points, without_duplicates
from edgekit.runtime.everything.scene import Advance, Scene, View


def segments_by_grid(scene: Scene) -> list[Segment]:
    """The objects of a photo, by falling score; those of smaller crops first."""
    rule = scene.rule
    crops = crops_with_grids(scene.size, rule)
    advance = scene.counting(sum(count**2 for _, count in crops))
    segments: list[Segment] = []
    for crop, count in crops:
        segments += _segments_of_crop(scene, scene.view(crop), count, advance)
    if len(crops) == 1:
        return segments
    sizes = [_area(segment.crop_box) for segment in segments]
    return without_duplicates(
        segments, [1 / size for size in sizes], overlap=rule.overlap_across_crops
    )


def _segments_of_crop(scene: Scene, view: View, count: int, advance: Advance) -> list[Segment]:
    rule = scene.rule
    points = grid_points(count, view.answers.size)
    found = [each.segment for each in found_by_points(points, view, rule, advance)]
    whole = [each for each in found if not ends_at_crop(each.box, view.crop, scene.size)]
    scores = [segment.predicted_iou for segment in whole]
    return without_duplicates(whole, scores, overlap=rule.overlap)


def _area(box: tuple[float, float, float, float] | None) -> float:
    assert box is not None  # a decoder's segments have a crop
    return box[2] * box[3]
