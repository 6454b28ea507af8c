"""A bundle's masks against annotations, photo by photo."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.catalog import Detection, PhotoSet
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.report import Report
from edgekit.runtime import Predictor
from edgekit.verification.average_precision import (
    AveragePrecision,
    average_precision,
    photo_regions,
)
from edgekit.verification.evaluation import InstanceFigures, Means, evaluate, means


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Mean IoU with the annotations per prompt kind: over all instances, then per size class.

    `ran` says how the bundle's files ran: "native", or "emulated by" a stand-in.
    """

    means: tuple[Means, ...]
    photos: int
    ran: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionEvaluation:
    """The average precision of the masks for `detections` boxes of a detector on `photos` photos.

    `ran` is as in `Evaluation`.
    """

    precision: AveragePrecision
    photos: int
    detections: int
    ran: str


def evaluate_photos(
    predictor: Predictor, photos: PhotoSet, *, survey: bool = False, report: Report
) -> Evaluation:
    """Score every annotated instance that has a mask and is large enough.

    `survey` adds the prompts of the survey (see `verification.evaluation.SURVEY_KINDS`).
    Warns of instances that are boxes without a mask.

    Raises:
        BadInput: no instance has a mask, none is large enough, or a photo cannot be read.
    """
    require_masks(photos, report)
    count = len(photos.photos)
    figures: list[InstanceFigures] = []
    with report.stage("evaluate"):
        for done, photo in enumerate(photos.photos):
            report.progress(done, count)
            figures += evaluate(predictor, [photo], survey=survey)
    if not figures:
        raise BadInput(
            f"No instance in {photos.name} is large enough to be scored.",
            expected="COCO instances of at least 32 x 32 pixels",
        )
    return Evaluation(means=means(figures), photos=count, ran=predictor.execution.label)


def evaluate_boxes(
    predictor: Predictor,
    photos: PhotoSet,
    detections: Mapping[str, Sequence[Detection]],
    *,
    report: Report,
) -> DetectionEvaluation:
    """Measure the average precision of the masks for a detector's boxes.

    Args:
        predictor: the bundle's.
        photos: annotated.
        detections: by image id. A warning counts those of other photos.
        report: gets a step per photo.

    Raises:
        BadInput: no annotation has a mask, or no detection is of these photos.
        RuntimeMissing: pycocotools is not installed.
    """
    require_pycocotools()
    require_masks(photos, report)
    known = {photo.image_id for photo in photos.photos}
    count = sum(len(own) for image, own in detections.items() if image in known)
    if not count:
        raise BadInput(
            f"No detection is of a photo of {photos.name}.",
            expected="results whose `image_id` is the id of an image in the annotations",
        )
    if others := sum(map(len, detections.values())) - count:
        report.warning(f"{others} detections are of photos that {photos.name} does not list.")
    regions = []
    with report.stage("evaluate"):
        for done, photo in enumerate(photos.photos):
            report.progress(done, len(photos.photos))
            own = detections.get(photo.image_id or "", ())
            regions.append(photo_regions(predictor, photo, own))
    return DetectionEvaluation(
        precision=average_precision(regions),
        photos=len(regions),
        detections=count,
        ran=predictor.execution.label,
    )


def require_masks(photos: PhotoSet, report: Report) -> None:
    """Check that some instance has a mask; warn of those that have none.

    Raises:
        BadInput: nothing is annotated, or only boxes are.
    """
    instances = [instance for photo in photos.photos for instance in photo.instances]
    if not instances:
        raise BadInput(
            f"{photos.name} annotates nothing that can be scored.",
            expected="a COCO JSON with instances that are not crowds",
        )
    boxes = sum(instance.segmentation is None for instance in instances)
    if not boxes:
        return
    if boxes == len(instances):
        raise BadInput(
            f"{photos.name} has boxes without masks, and only masks can be scored.",
            expected="COCO instances with `segmentation`",
            next_step="verify needs no masks: edgekit verify BUNDLE --photos COCO.json",
        )
    report.warning(f"{boxes} of {len(instances)} annotations are boxes without a mask: not scored.")


def require_pycocotools() -> None:
    """Find out before the photos are segmented, which takes minutes."""
    if importlib.util.find_spec("pycocotools") is None:
        raise RuntimeMissing(
            "Masks are compared with pycocotools, which is not installed.",
            next_step="pip install pycocotools",
        )
