"""All masks of a bundle: against the PyTorch reference's, and against annotations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.records import (
    Bundle,
    DetectorContract,
    EvaluateEverythingRequest,
    PhotoClient,
    Strategy,
    VerifyEverythingRequest,
    WeightsSource,
)
from edgekit.report import Report
from edgekit.runtime import Predictor
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.everything import check_request
from edgekit.runtime.opening import execution
from edgekit.runtime.proposals import read_proposals
from edgekit.stages.evaluation import require_masks, require_pycocotools
from edgekit.stages.reference import reference_predictor
from edgekit.verification.everything import (
    Everything,
    EverythingVerdict,
    compare_everything,
    everything_not_run,
    judge_everything,
    part_of,
)
from edgekit.verification.recall import AverageRecall, Found, average_recall, objects_found

VERIFY_GRID = 8
"""Points per side by default: PyTorch decodes them too. 16 photos get 1,024 prompts, as many as SAM
gives to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingEvaluation:
    """Average recall of the annotated objects: of every size, then per size class.

    photos: how many had objects with masks; the others were left out.
    masks: the number of masks that were found on them.
    strategy, grid: as in `Everything`.
    ran: how the bundle's files ran: "native", or "emulated by" a stand-in.
    """

    recall: tuple[AverageRecall, ...]
    photos: int
    masks: int
    strategy: Strategy | None
    grid: int | None
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
        BadInput: there is no photo, one cannot be read, the strategy or grid does not fit, or the
            proposals are of another encoder.
        RuntimeMissing: pycocotools is not installed.
    """
    require_pycocotools()
    if not photos.photos:
        raise BadInput(
            f"The image set '{photos.name}' has no photo, so nothing can be verified.",
            expected="at least one photo that the bundle was not calibrated on",
        )
    client = photo_client(bundle.manifest.client)
    everything = _everything(client, request, default_grid=VERIFY_GRID)
    how = execution(bundle.manifest.target)
    if how.how == "not run":
        reason = f"{how.reason}"
        return everything_not_run(reason, everything=everything, min_matched=request.min_matched)
    with report.stage("verify"):
        candidate = Predictor(bundle)
        candidate.check_proposals(everything.proposals)
        reference = reference_predictor(
            bundle.manifest.model, source, proposes=everything.proposals is not None
        )
        _warn_of_another_rule(client, reference.client, report)
        matchings = compare_everything(
            candidate,
            reference,
            photos,
            everything=everything,
            on_step=report.progress,
        )
    return judge_everything(
        matchings, everything=everything, min_matched=request.min_matched, execution=how
    )


def evaluate_all_masks(
    predictor: Predictor, photos: PhotoSet, *, request: EvaluateEverythingRequest, report: Report
) -> EverythingEvaluation:
    """Measure the average recall of every annotated instance that has a mask.

    Warns of instances that are boxes without a mask, and where no mask is found at all.

    Raises:
        BadInput: no instance has a mask, a photo cannot be read, the strategy or grid does not fit,
            or the proposals are of another encoder.
        RuntimeMissing: pycocotools is not installed.
    """
    require_pycocotools()
    require_masks(photos, report)
    everything = _everything(predictor.client, request, default_grid=None)
    predictor.check_proposals(everything.proposals)
    found: list[Found] = []
    with report.stage("evaluate"):
        for turn, photo in enumerate(photos.photos):
            progress = part_of(report.progress, turn=turn, turns=len(photos.photos))
            if one := objects_found(predictor, photo, everything, progress):
                found.append(one)
    if not found:
        raise BadInput(
            f"The masks of {photos.name} are empty, so no object can be found.",
            expected="COCO instances whose masks cover a pixel",
        )
    masks = sum(photo.masks for photo in found)
    if not masks:
        report.warning(
            "No mask was found on any photo: none passes the thresholds in the bundle's manifest "
            "(`client.everything`)."
        )
    return EverythingEvaluation(
        recall=average_recall(found),
        photos=len(found),
        masks=masks,
        strategy=everything.strategy,
        grid=everything.grid,
        ran=predictor.execution.label,
    )


def _everything(
    client: PhotoClient,
    request: VerifyEverythingRequest | EvaluateEverythingRequest,
    *,
    default_grid: int | None,
) -> Everything:
    """How to segment everything; checked before any photo is encoded."""
    if isinstance(client, DetectorContract):
        return _without_prompts(request)
    if request.proposals:
        return _proposed(request, request.proposals)
    strategy: Strategy = request.strategy or ("boxes" if request.detector else "grid")
    grid = default_grid if request.grid is None else request.grid
    rule = client.everything if grid is None else replace(client.everything, grid=grid)
    check_request(strategy, rule, with_boxes=request.detector is not None)
    if request.detector is None:
        return Everything(strategy=strategy, grid=rule.grid)
    if request.grid is not None:
        raise BadInput(
            "A grid has no use where a detector finds the boxes.",
            expected="either a grid or a detector",
        )
    return Everything(strategy=strategy, detector=Predictor(request.detector))


def _proposed(
    request: VerifyEverythingRequest | EvaluateEverythingRequest, proposals: Path
) -> Everything:
    if request.strategy not in {None, "proposed"} or request.grid is not None or request.detector:
        raise BadInput(
            "Proposals are the prompts, so there is neither another strategy nor a grid.",
            expected="either proposals or a strategy, a grid or a detector",
        )
    return Everything(strategy="proposed", proposals=read_proposals(proposals))


def _without_prompts(request: VerifyEverythingRequest | EvaluateEverythingRequest) -> Everything:
    if request.strategy or request.grid is not None or request.detector or request.proposals:
        raise BadInput(
            "This model detects all objects at once, without prompts.",
            expected="neither strategy nor grid nor detector nor proposals",
        )
    return Everything(strategy=None)


def _warn_of_another_rule(ours: PhotoClient, theirs: PhotoClient, report: Report) -> None:
    if isinstance(ours, DetectorContract) or isinstance(theirs, DetectorContract):
        return
    if ours.everything != theirs.everything:
        report.warning(
            "The bundle's manifest has other thresholds for everything than this edgekit: masks "
            "will differ for that reason. Export the bundle again."
        )
