"""All masks of a bundle: against the PyTorch reference's, and against annotations."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import (
    Bundle,
    EvaluateEverythingRequest,
    Segment,
    Strategy,
    VerifyEverythingRequest,
    WeightsSource,
)
from edgekit.report import Report
from edgekit.runtime import Predictor
from edgekit.runtime.opening import execution
from edgekit.stages.evaluation import require_masks
from edgekit.stages.reference import reference_predictor
from edgekit.verification.everything import (
    Everything,
    EverythingVerdict,
    compare_everything,
    everything_not_run,
    judge_everything,
)
from edgekit.verification.recall import AverageRecall, Found, average_recall, objects_found


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingEvaluation:
    """Average recall of the annotated objects: of every size, then per size class.

    photos: how many had objects with masks; the others were left out.
    masks: the number of masks that were found on them.
    ran: how the bundle's files ran: "native", or "emulated by" a stand-in.
    """

    recall: tuple[AverageRecall, ...]
    photos: int
    masks: int
    ran: str


def verify_all_masks(
    bundle: Bundle,
    source: WeightsSource,
    photos: PhotoSet,
    *,
    request: VerifyEverythingRequest,
    report: Report,
) -> EverythingVerdict:
    """Match all masks with the reference's; "not run", with the reason, where the files cannot run.

    Raises:
        BadInput: there is no photo, or one cannot be read.
        RuntimeMissing: pycocotools is not installed.
    """
    _require_pycocotools()
    if not photos.photos:
        raise BadInput(
            f"The image set '{photos.name}' has no photo, so nothing can be verified.",
            expected="at least one photo that the bundle was not calibrated on",
        )
    how = execution(bundle.manifest.target)
    if how.how == "not run":
        return everything_not_run(f"{how.reason}", min_matched=request.min_matched)
    with report.stage("verify"):
        matchings = compare_everything(
            Predictor(bundle),
            reference_predictor(bundle.manifest.model, source),
            photos,
            everything=_everything(request.strategy, request.grid),
            on_step=report.progress,
        )
    return judge_everything(matchings, min_matched=request.min_matched, execution=how)


def evaluate_all_masks(
    predictor: Predictor, photos: PhotoSet, *, request: EvaluateEverythingRequest, report: Report
) -> EverythingEvaluation:
    """Measure the average recall of every annotated instance that has a mask.

    Warns of instances that are boxes without a mask.

    Raises:
        BadInput: no instance has a mask, or a photo cannot be read.
        RuntimeMissing: pycocotools is not installed.
    """
    _require_pycocotools()
    require_masks(photos, report)
    count = len(photos.photos)
    everything = _everything(request.strategy, request.grid)
    found: list[Found] = []
    with report.stage("evaluate"):
        for done, photo in enumerate(photos.photos):
            report.progress(done, count)
            if one := objects_found(predictor, photo, everything):
                found.append(one)
    return EverythingEvaluation(
        recall=average_recall(found),
        photos=len(found),
        masks=sum(photo.masks for photo in found),
        ran=predictor.execution.label,
    )


def _everything(strategy: Strategy, grid: int) -> Everything:
    def find(predictor: Predictor) -> Sequence[Segment]:
        return predictor.everything(strategy=strategy, grid=grid)

    return find


def _require_pycocotools() -> None:
    """Find out before the photos are segmented, which takes minutes."""
    if importlib.util.find_spec("pycocotools") is None:
        raise RuntimeMissing(
            "Masks are compared with pycocotools, which is not installed.",
            next_step="pip install pycocotools",
        )
