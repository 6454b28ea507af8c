"""Figures at photo resolution against annotations: what the model card reports.

Goes through the runtime's own preprocessing, prompts and postprocessing, so the figures are those
a client would get.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Instance, Photo, instance_mask
from edgekit.records import BoolArray
from edgekit.runtime.photo import load_photo
from edgekit.runtime.predictor import Prediction, Predictor
from edgekit.runtime.prompts import Prompt
from edgekit.verify.interior import interior_pixel
from edgekit.verify.metrics import mask_iou

SMALLEST_SIDE = 32
"""Instances are scored if their box has both sides of at least this many photo pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFigures:
    """IoU of one instance with its annotation, for each kind of prompt.

    box: annotation's box, mask 0. filled_box: the box itself taken as the mask, the baseline.
    point: the pixel farthest from the edge, mask 0. best_of_three: the same prompt, the best of
    masks 1 to 3. chosen: that of masks 1 to 3 whose predicted IoU is highest. box_point: both.
    """

    photo: str
    side: float
    box: float
    filled_box: float
    point: float
    best_of_three: float
    chosen: float
    box_point: float


def evaluate(predictor: Predictor, photos: Iterable[Photo]) -> Iterator[InstanceFigures]:
    """Score every instance that is large enough; one photo is in memory at a time."""
    for photo in photos:
        pixels = load_photo(photo.path)
        size = (pixels.shape[0], pixels.shape[1])
        scored = [(i, instance_mask(i, *size)) for i in photo.instances if _large(i)]
        scored = [(instance, mask) for instance, mask in scored if mask.any()]
        if scored:
            predictor.set_image(pixels)
        for instance, mask in scored:
            yield _figures(predictor, photo, instance, mask)


def _large(instance: Instance) -> bool:
    x0, y0, x1, y1 = instance.box
    return min(x1 - x0, y1 - y0) >= SMALLEST_SIDE


def _figures(
    predictor: Predictor, photo: Photo, instance: Instance, mask: BoolArray
) -> InstanceFigures:
    box, point = instance.box, interior_pixel(mask)
    size = predictor.photo_size
    points: list[npt.ArrayLike] = [point] if point else []
    prompts = [
        Prompt.checked(box=box, photo_size=size),
        Prompt.checked(points=points, labels=[1], photo_size=size),
        Prompt.checked(points=points, labels=[1], box=box, photo_size=size),
    ]
    by_box, by_point, by_both = predictor.predict_many(prompts, multimask=True)
    boxed, pointed = _ious(by_box, mask), _ious(by_point, mask)
    return InstanceFigures(
        photo=photo.id,
        side=float(np.sqrt(np.count_nonzero(mask))),
        box=boxed[0],
        filled_box=mask_iou(_filled(box, mask.shape), mask),
        point=pointed[0],
        best_of_three=max(pointed[1:]),
        chosen=pointed[1 + int(np.argmax(by_point.scores[1:]))],
        box_point=_ious(by_both, mask)[0],
    )


def _ious(prediction: Prediction, mask: BoolArray) -> list[float]:
    return [mask_iou(candidate, mask) for candidate in prediction.masks]


def _filled(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> BoolArray:
    filled = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    filled[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return filled


FIGURE_NAMES = tuple(f.name for f in fields(InstanceFigures) if f.name not in ("photo", "side"))


def means(figures: Iterable[InstanceFigures]) -> dict[str, float]:
    """The mean of each kind over all instances, and their number under `instances`."""
    rows = list(figures)
    table = {name: float(np.mean([getattr(r, name) for r in rows])) for name in FIGURE_NAMES}
    return {**table, "instances": float(len(rows))}
