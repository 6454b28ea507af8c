"""IoU of masks with annotations, at photo resolution: the figures of a model card.

The preprocessing, prompts and postprocessing are the runtime's own, so a client of the bundle gets
the same figures. Torch-free: it also runs on a device.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import repeat

import numpy as np

from edgekit.catalog import Instance, Photo, instance_mask
from edgekit.records import BoolArray, ClientContract, MaskRule
from edgekit.runtime.photo import load_photo
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.prompts import Prompt
from edgekit.verification.centre import euclidean_centre
from edgekit.verification.metrics import mask_iou

Box = tuple[float, float, float, float]

SMALLEST_SIDE = 32
"""An instance is scored if both sides of its box are at least this many photo pixels."""

SIZES = {"small": 32**2, "medium": 96**2, "large": None}
"""COCO's size classes: upper bounds (exclusive) of the mask's area in photo pixels."""


KINDS = {
    "box": "the single mask for the annotation's box",
    "filled_box": "the box itself as the mask, the score of a model that returns its prompt",
    "point": "the single mask for one point, the mask's pixel farthest from its edge",
    "best_of_three": "the best of the three masks for the same point",
    "chosen": "the one of those three with the highest predicted IoU",
    "box_point": "the single mask for box and point together",
}
"""What is scored, and its meaning."""

SURVEY_KINDS = {
    "random_1": "the single mask for one random point in the annotated mask",
    "random_2": "the single mask for two random points in it",
    "random_3": "the single mask for three random points in it",
    "tight_box": "the single mask for the smallest box around the annotated mask",
}
"""Further prompts of the survey of efficient models (arXiv 2410.04960, section 5)."""

TITLES = {
    "box": "box",
    "filled_box": "  (the box filled in)",
    "point": "one point",
    "best_of_three": "one point, best of 3",
    "chosen": "one point, chosen of 3",
    "box_point": "box and point",
    "random_1": "one random point",
    "random_2": "two random points",
    "random_3": "three random points",
    "tight_box": "box around the mask",
}
"""The name of each kind in tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFigures:
    """IoU of one instance with its annotation, for each of `KINDS`, and of `SURVEY_KINDS` if asked.

    area: of the annotated mask, in photo pixels.
    """

    photo: str
    area: int
    iou: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Mean IoU per kind of prompt over the `instances` of a size class ("all": of every size)."""

    size: str
    instances: int
    iou: dict[str, float]


def evaluate(
    predictor: Predictor, photos: Iterable[Photo], *, survey: bool = False
) -> Iterator[InstanceFigures]:
    """Score every instance that has a mask and is large enough. One photo is in memory at a time.

    `survey` adds `SURVEY_KINDS`.

    Raises:
        BadInput: a photo cannot be read, or an annotation does not fit its photo.
    """
    for photo in photos:
        pixels = load_photo(photo.path)
        height, width = pixels.shape[:2]
        masks = [(i, instance_mask(i, height, width)) for i in photo.instances if _scored(i)]
        masks = [(instance, mask) for instance, mask in masks if mask.any()]
        if masks:
            predictor.set_image(pixels)
            ious = _ious(predictor, masks)
            more = _survey_ious(predictor, photo, masks) if survey else repeat({}, len(masks))
            for (_, mask), own, others in zip(masks, ious, more, strict=True):
                area = int(np.count_nonzero(mask))
                yield InstanceFigures(photo=photo.id, area=area, iou=own | others)


def _scored(instance: Instance) -> bool:
    x0, y0, x1, y1 = instance.box
    return instance.segmentation is not None and min(x1 - x0, y1 - y0) >= SMALLEST_SIDE


def _ious(
    predictor: Predictor, annotated: list[tuple[Instance, BoolArray]]
) -> Iterator[dict[str, float]]:
    """The IoUs of each instance of the predictor's current photo, by `KINDS`."""
    size = predictor.photo_size
    points = [
        Prompt.checked(points=[_click(mask)], labels=[1], photo_size=size) for _, mask in annotated
    ]
    boxes = [Prompt.checked(box=clipped(i.box, size), photo_size=size) for i, _ in annotated]
    both = [replace(point, box=box.box) for point, box in zip(points, boxes, strict=True)]
    single = predictor.predict_many([*points, *boxes, *both])
    assert isinstance(predictor.client, ClientContract)  # a detector has refused the prompts
    rule = predictor.client.masks
    several = predictor.predict_many(points, multimask=rule.multimask)
    three = _places_of_three(rule)
    count = len(annotated)
    for i, (instance, mask) in enumerate(annotated):
        candidates = several[i]
        ious = [mask_iou(candidates.masks[place], mask) for place in three]
        yield {
            "box": mask_iou(single[count + i].masks[0], mask),
            "filled_box": mask_iou(filled_box(instance.box, mask.shape), mask),
            "point": mask_iou(single[i].masks[0], mask),
            "best_of_three": max(ious),
            "chosen": ious[int(np.argmax(candidates.scores[three]))],
            "box_point": mask_iou(single[2 * count + i].masks[0], mask),
        }


def _survey_ious(
    predictor: Predictor, photo: Photo, annotated: list[tuple[Instance, BoolArray]]
) -> Iterator[dict[str, float]]:
    """The IoUs of each instance of the predictor's current photo, by `SURVEY_KINDS`."""
    for place, (_, mask) in enumerate(annotated):
        rng = np.random.default_rng([zlib.crc32(photo.id.encode()), place])
        rows, columns = np.nonzero(mask)
        chosen = rng.permutation(len(rows))[:3]
        points = list(zip(columns[chosen].tolist(), rows[chosen].tolist(), strict=True))
        size = predictor.photo_size
        prompts = [
            Prompt.checked(points=points[:count], labels=[1] * len(points[:count]), photo_size=size)
            for count in (1, 2, 3)
        ]
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        prompts.append(Prompt.checked(box=clipped(box, size), photo_size=size))
        predictions = predictor.predict_many(prompts)
        yield {
            kind: mask_iou(prediction.masks[0], mask)
            for kind, prediction in zip(SURVEY_KINDS, predictions, strict=True)
        }


def _places_of_three(rule: MaskRule) -> list[int]:
    """Positions of SAM's three masks in a multimask result; NanoSAM's also has the single mask.

    A family with one mask has that one.
    """
    if rule.multimask.keep == "best":
        return [0]
    single = set() if rule.single.keep == "best" else set(rule.single.masks)
    return [place for place, index in enumerate(rule.multimask.masks) if index not in single] or [0]


def _click(mask: BoolArray) -> tuple[int, int]:
    point = euclidean_centre(mask)
    assert point is not None  # empty masks are not scored
    return point


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """The box clipped to the photo: a rounded annotation may end just outside."""
    x0, y0, x1, y1 = box
    height, width = size
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


def filled_box(box: Box, shape: tuple[int, ...]) -> BoolArray:
    """The mask [H, W] of all pixels in a box; coordinates are photo pixels."""
    filled = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    filled[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return filled


def means(figures: Iterable[InstanceFigures]) -> tuple[Means, ...]:
    """The means over all instances, then by size class. Classes without instances are left out."""
    rows = list(figures)
    table = [_mean("all", rows)]
    lowest = 0
    for size, bound in SIZES.items():
        table.append(_mean(size, [r for r in rows if lowest <= r.area < (bound or np.inf)]))
        lowest = bound or 0
    return tuple(row for row in table if row.instances)


def _mean(size: str, rows: list[InstanceFigures]) -> Means:
    kinds = rows[0].iou if rows else ()
    iou = {kind: float(np.mean([row.iou[kind] for row in rows])) for kind in kinds}
    return Means(size=size, instances=len(rows), iou=iou)


def to_json(table: tuple[Means, ...], *, ran: str) -> dict[str, object]:
    """The JSON of `edgekit evaluate`."""
    return {
        "instances_at_least_px": SMALLEST_SIDE,
        "resolution": "photo",
        "ran": ran,
        "mean_iou": [asdict(row) for row in table],
    }
