"""Average precision of the masks for a detector's boxes, as COCO and papers on SAM report it.

Every detected box is a prompt; its mask takes the box's score and category. Crowd regions are left
out, so that a box on a crowd counts as wrong where COCO's server ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edgekit.catalog import Detection, Photo
from edgekit.records import runs_from_mask
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.segments import rle_from
from edgekit.verification.coco_measure import PhotoRegions, Region, measured
from edgekit.verification.evaluation import clipped
from edgekit.verification.recall import annotated_regions

LIMITS = (1, 10, 100)
"""COCO's numbers of masks per photo and category. The average precision is that of the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePrecision:
    """COCO's figures, 0 to 1; None for a size class without an annotation.

    every: averaged over the IoU thresholds 0.5, 0.55 ... 0.95. at_50, at_75: at one threshold.
    small, medium, large: as `every`, by the annotation's area.
    """

    every: float
    at_50: float
    at_75: float
    small: float | None
    medium: float | None
    large: float | None

    def to_json(self) -> dict[str, float | None]:
        """The figures by name."""
        return asdict(self)


def photo_regions(
    predictor: Predictor, photo: Photo, detections: Sequence[Detection]
) -> PhotoRegions:
    """The annotated masks of a photo, and the bundle's mask for each box that lies on it.

    Raises:
        BadInput: the photo cannot be read, an annotation does not fit it, or the model takes no
            box.
    """
    pixels = load_photo(photo.path)
    size = pixels.shape[0], pixels.shape[1]
    boxes = [(clipped(detection.box, size), detection) for detection in detections]
    inside = [(box, own) for box, own in boxes if box[0] < box[2] and box[1] < box[3]]
    proposals: list[Region] = []
    if inside:
        predictor.set_image(pixels)
        prompts = [Prompt.checked(box=box, photo_size=size) for box, _ in inside]
        for prediction, (_, own) in zip(predictor.predict_many(prompts), inside, strict=True):
            mask = prediction.masks[0]
            rle, area = rle_from(runs_from_mask(mask)), int(np.count_nonzero(mask))
            proposals.append(Region(rle=rle, area=area, score=own.score, category=own.category))
    return PhotoRegions(size=size, truth=annotated_regions(photo, size), proposals=proposals)


def average_precision(photos: Sequence[PhotoRegions]) -> AveragePrecision:
    """Over all photos, which are one or more, and all categories."""
    measure = measured(photos, limits=LIMITS, by_category=True)
    # [IoU threshold, recall, category, size class, limit]; -1 where nothing is annotated.
    precision = measure.eval["precision"][..., -1]
    return AveragePrecision(
        every=_mean(precision[..., 0]) or 0.0,
        at_50=_mean(precision[0, :, :, 0]) or 0.0,
        at_75=_mean(precision[5, :, :, 0]) or 0.0,
        small=_mean(precision[..., 1]),
        medium=_mean(precision[..., 2]),
        large=_mean(precision[..., 3]),
    )


def _mean(precision: np.ndarray) -> float | None:
    annotated = precision[precision > -1]
    return float(annotated.mean()) if annotated.size else None
