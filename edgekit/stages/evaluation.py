"""A bundle's masks against annotations, photo by photo."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.report import Report
from edgekit.runtime import Predictor
from edgekit.verification.evaluation import InstanceFigures, Means, evaluate, means


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Mean IoU with the annotations per prompt kind: over all instances, then per size class.

    `ran` says how the bundle's files ran: "native", or "emulated by" a stand-in.
    """

    means: tuple[Means, ...]
    photos: int
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
