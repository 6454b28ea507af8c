"""Average recall of all masks of a photo against its annotations, as papers on proposals report it.

The recall of annotated objects, whatever their category, by the K masks with the highest predicted
IoU, averaged over the IoU thresholds 0.5, 0.55 ... 0.95 (arXiv 1502.05082). pycocotools measures
one photo at a time and the counts are added, so that memory does not grow with the photos; the
recall of a sum of counts is that of all photos together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Photo, instance_mask
from edgekit.records import Segment, runs_from_mask
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.segments import rle_from
from edgekit.verification.coco_measure import PhotoRegions, Region, measured
from edgekit.verification.everything import Everything, OnStep

Counts = npt.NDArray[np.int64]

LIMITS = (10, 100, 1000)
"""Numbers of masks per photo, by falling predicted IoU."""

SIZES = ("all", "small", "medium", "large")
"""COCO's classes by the annotation's area, in the order of its evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The annotated objects of a photo and how many were found.

    masks: the number of masks that were proposed.
    instances: [4] objects for each of `SIZES`.
    found: [10, 4, 3] of them, by IoU threshold, size and `LIMITS`.
    """

    masks: int
    instances: Counts
    found: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageRecall:
    """The average recall of a size class for each of `LIMITS`, 0 to 1."""

    size: str
    instances: int
    recall: dict[int, float]


def objects_found(
    predictor: Predictor, photo: Photo, everything: Everything, on_step: OnStep | None = None
) -> Found | None:
    """How many annotated objects of a photo are among all masks; None if none has a mask.

    `on_step` is called with the prompts done and to do.

    Raises:
        BadInput: the photo cannot be read, an annotation does not fit it, or the strategy does not
            fit.
    """
    pixels = load_photo(photo.path)
    size = pixels.shape[0], pixels.shape[1]
    truth = annotated_regions(photo, size)
    if not truth:
        return None
    predictor.set_image(pixels)
    segments = everything.segments(predictor, everything.boxes(pixels), on_step)
    return found_in([_proposal(segment) for segment in segments], truth, size=size)


def _proposal(segment: Segment) -> Region:
    return Region(rle=segment.rle, area=segment.area, score=segment.predicted_iou)


def annotated_regions(photo: Photo, size: tuple[int, int]) -> list[Region]:
    """The instances that have a mask with a pixel, one mask in memory at a time."""
    regions: list[Region] = []
    for instance in photo.instances:
        if instance.segmentation is None:
            continue
        mask = instance_mask(instance, *size)
        if mask.any():
            rle = rle_from(runs_from_mask(mask))
            regions.append(Region(rle=rle, area=instance.area, category=instance.category))
    return regions


def found_in(
    proposals: Sequence[Region], truth: Sequence[Region], *, size: tuple[int, int]
) -> Found:
    """Count the annotated objects `truth`, one or more, that `proposals` cover.

    `size` is the photo's height and width in pixels.
    """
    photo = PhotoRegions(size=size, truth=truth, proposals=proposals)
    measure = measured([photo], limits=LIMITS)
    instances = np.array([np.count_nonzero(row["gtIgnore"] == 0) for row in measure.evalImgs])
    recall = np.maximum(measure.eval["recall"][:, 0], 0)  # -1 for a size without objects
    found = np.rint(recall * instances[:, None]).astype(np.int64)
    return Found(masks=len(proposals), instances=instances, found=found)


def average_recall(photos: Iterable[Found]) -> tuple[AverageRecall, ...]:
    """The average recall over the objects of all photos, of every size and then by size class.

    Classes without objects are left out.
    """
    rows = list(photos)
    instances = np.sum([row.instances for row in rows], axis=0)
    found = np.sum([row.found for row in rows], axis=0)
    return tuple(
        AverageRecall(
            size=size,
            instances=int(instances[index]),
            recall=dict(
                zip(LIMITS, (found[:, index] / instances[index]).mean(axis=0).tolist(), strict=True)
            ),
        )
        for index, size in enumerate(SIZES)
        if rows and instances[index]
    )
