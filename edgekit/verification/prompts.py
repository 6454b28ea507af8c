"""The prompts that a photo is verified with: deterministic, every kind, 6 to 10 decodes.

The subjects are the photo's largest, median and smallest annotated instance, or a fixed layout if
there are no annotations. Every subject gets a point and a box, the two prompts that nearly all
users send. The four other kinds rotate over the subjects, with a different start for each photo, so
that no kind gets only large objects. A detector is also asked for all objects of the photo.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edgekit.catalog import Instance, Photo, instance_mask
from edgekit.errors import BadInput
from edgekit.records import BoolArray, Label, PromptPart
from edgekit.records.enums import StrEnum
from edgekit.verification.centre import chessboard_centre

T = TypeVar("T")

Point = tuple[float, float]
Place = tuple[float, ...]
"""A point of a photo, or the indices of a voxel."""
Box = tuple[float, float, float, float]

SMALLEST_AREA = 32 * 32
"""Smaller instances (COCO's "small") get no prompts: a few pixels decide their IoU."""

BOX_MARGIN = 0.25
"""How far outside the box the negative point may lie, as a share of the box's sides."""

LAYOUT: tuple[tuple[Point, Point, Box], ...] = (
    ((0.50, 0.50), (0.08, 0.08), (0.25, 0.25, 0.75, 0.75)),
    ((0.30, 0.45), (0.80, 0.45), (0.05, 0.15, 0.55, 0.80)),
    ((0.72, 0.70), (0.30, 0.25), (0.50, 0.45, 0.95, 0.95)),
)
"""Point, negative and box of the default subjects, as shares of the photo's width and height."""


class PromptKind(StrEnum):
    """The ways in which users prompt a Segment-Anything model."""

    POINT = "point"
    POINT_WITH_NEGATIVE = "point + negative"
    BOX = "box"
    BOX_WITH_POINT = "box + point"
    REFINEMENT = "mask refinement"
    MULTIMASK = "multimask"
    EVERYTHING = "everything"


_ROTATED = (
    PromptKind.POINT_WITH_NEGATIVE,
    PromptKind.BOX_WITH_POINT,
    PromptKind.REFINEMENT,
    PromptKind.MULTIMASK,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An object to segment: a point inside, a point outside, its box and its annotated mask.

    Coordinates are photo pixels (x right, y down). `negative` is None if the mask fills the
    enlarged box; `truth` [H, W] is None without an annotation.
    """

    point: Point
    negative: Point | None
    box: Box
    truth: BoolArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One prompt given to both sides. `PromptKind.EVERYTHING` has no prompt.

    `subject` is an index into the photo's subjects; None if the prompt is for none of them.
    `mask_from` is an index into the photo's trials: the reference's low-res logits of that trial
    become the mask input of both sides.
    """

    kind: PromptKind
    subject: int | None = None
    points: tuple[Place, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask_from: int | None = None

    @property
    def multimask(self) -> bool:
        """Whether to ask for the family's several masks."""
        return self.kind is PromptKind.MULTIMASK


def subjects_of(photo: Photo, *, height: int, width: int) -> tuple[Subject, ...]:
    """One to three subjects of a photo of `height` x `width` pixels.

    The largest, median and smallest instance of at least `SMALLEST_AREA` pixels, or the fixed
    `LAYOUT` if there are none. An instance without a mask is taken to fill its box.

    Raises:
        BadInput: an annotation does not fit the photo.
    """
    large_first = sorted(photo.instances, key=lambda instance: instance.area, reverse=True)
    usable = [instance for instance in large_first if instance.area >= SMALLEST_AREA]
    picked = _largest_median_smallest(usable)
    maybe = [_annotated_subject(photo, each, height=height, width=width) for each in picked]
    subjects = tuple(subject for subject in maybe if subject)
    return subjects or tuple(_layout_subject(row, height=height, width=width) for row in LAYOUT)


def _largest_median_smallest(large_first: Sequence[T]) -> list[T]:
    """One to three items of a sorted sequence; none if it is empty."""
    count = len(large_first)
    return [large_first[index] for index in sorted({0, count // 2, count - 1})] if count else []


_NEEDS: dict[PromptKind, PromptPart] = {
    PromptKind.POINT_WITH_NEGATIVE: "background_point",
    PromptKind.REFINEMENT: "mask",
    PromptKind.BOX_WITH_POINT: "points_and_box",
    PromptKind.MULTIMASK: "multimask",
}


def trials_for_subjects(
    subjects: tuple[Subject, ...], *, seed: str, refuses: tuple[PromptPart, ...] = ()
) -> tuple[Trial, ...]:
    """The prompts of one photo.

    `seed` (the photo's id) decides with which subject the rotation starts. Kinds that need a part
    that the family `refuses` are left out.
    """
    trials: list[Trial] = []
    for index, subject in enumerate(subjects):
        trials.append(_trial(PromptKind.POINT, subject, index))
        trials.append(_trial(PromptKind.BOX, subject, index))
    start = zlib.crc32(seed.encode())
    for turn, kind in enumerate(_ROTATED):
        index = (start + turn) % len(subjects)
        if _NEEDS.get(kind) in refuses:
            continue
        if kind is PromptKind.POINT_WITH_NEGATIVE and subjects[index].negative is None:
            continue
        trials.append(_trial(kind, subjects[index], index))
    return tuple(trials)


def trials_for_masks(masks: Sequence[BoolArray]) -> tuple[Trial, ...]:
    """Points in a detector's largest, median and smallest mask of at least `SMALLEST_AREA` pixels.

    One more prompt has the first point as foreground and the second as background. A detector may
    find none of the photo's subjects; prompts for them would then compare two empty masks.
    """
    usable = (mask for mask in masks if np.count_nonzero(mask) >= SMALLEST_AREA)
    large_first = sorted(usable, key=np.count_nonzero, reverse=True)
    inside = [chessboard_centre(mask) for mask in _largest_median_smallest(large_first)]
    points: list[Point] = [(float(point[0]), float(point[1])) for point in inside if point]
    trials = [
        Trial(kind=PromptKind.POINT, points=(point,), labels=(Label.FOREGROUND,))
        for point in points
    ]
    if len(points) > 1:
        both = (Label.FOREGROUND, Label.BACKGROUND)
        kind = PromptKind.POINT_WITH_NEGATIVE
        trials.append(Trial(kind=kind, points=(points[0], points[1]), labels=both))
    return tuple(trials)


def _trial(kind: PromptKind, subject: Subject, index: int) -> Trial:
    point, labels = (subject.point,), (Label.FOREGROUND,)
    match kind:
        case PromptKind.BOX:
            return Trial(kind=kind, subject=index, box=subject.box)
        case PromptKind.BOX_WITH_POINT:
            return Trial(kind=kind, subject=index, points=point, labels=labels, box=subject.box)
        case PromptKind.POINT_WITH_NEGATIVE if subject.negative is not None:
            points, both = (subject.point, subject.negative), (Label.FOREGROUND, Label.BACKGROUND)
            return Trial(kind=kind, subject=index, points=points, labels=both)
        case PromptKind.REFINEMENT:
            # Trials 2 i and 2 i + 1 are the point and the box of subject i.
            return Trial(kind=kind, subject=index, points=point, labels=labels, mask_from=2 * index)
        case _:
            return Trial(kind=kind, subject=index, points=point, labels=labels)


def _annotated_subject(
    photo: Photo, instance: Instance, *, height: int, width: int
) -> Subject | None:
    left, top, right, bottom = instance.box
    box = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    truth = _truth(photo, instance, height=height, width=width)
    covered = _filled(box, height=height, width=width) if truth is None else truth
    point = chessboard_centre(covered)
    if point is None:
        return None
    return Subject(point=point, negative=_negative(covered, box), box=box, truth=truth)


def _truth(photo: Photo, instance: Instance, *, height: int, width: int) -> BoolArray | None:
    if instance.segmentation is None:
        return None
    try:
        return instance_mask(instance, height, width)
    except BadInput as error:
        raise BadInput(f"{photo.path}: {error.what}", expected=error.expected) from error


def _filled(box: Box, *, height: int, width: int) -> BoolArray:
    """All pixels that a box touches: it stands for the object where there is no mask."""
    filled = np.zeros((height, width), bool)
    left, top, right, bottom = box
    filled[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = True
    return filled


def _negative(truth: BoolArray, box: Box) -> Point | None:
    """The deepest background pixel in the enlarged box."""
    height, width = truth.shape
    across, down = BOX_MARGIN * (box[2] - box[0]), BOX_MARGIN * (box[3] - box[1])
    left, top = max(int(box[0] - across), 0), max(int(box[1] - down), 0)
    right, bottom = min(int(box[2] + across) + 1, width), min(int(box[3] + down) + 1, height)
    pixel = chessboard_centre(np.logical_not(truth[top:bottom, left:right]))
    return None if pixel is None else (left + pixel[0], top + pixel[1])


def _layout_subject(row: tuple[Point, Point, Box], *, height: int, width: int) -> Subject:
    (x, y), (away_x, away_y), (left, top, right, bottom) = row
    return Subject(
        point=(x * width, y * height),
        negative=(away_x * width, away_y * height),
        box=(left * width, top * height, right * width, bottom * height),
        truth=None,
    )
