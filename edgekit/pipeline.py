"""The functions of the library, such as `export`: each runs its stages in order.

ModelRow --locate--> WeightsSource --plan--> PrecisionPlan --lower--> Graphs --convert--> files
    --pack--> Bundle --verify--> Verdict
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit import catalog, store
from edgekit.benchmark import Conditions, MachinePeak, compare
from edgekit.catalog.runtimes import plans_nodes
from edgekit.doctor import preflight, read_machine, usable_cores
from edgekit.lowering import lowering
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.program.programs import Programs
from edgekit.records import (
    BenchRequest,
    Bundle,
    EvaluateDetectionsRequest,
    EvaluateEverythingRequest,
    EvaluateRequest,
    ExportRequest,
    Precision,
    RecordRequest,
    Target,
    VerifyEverythingRequest,
    VerifyRequest,
)
from edgekit.report import SILENT, Report
from edgekit.runtime import Predictor
from edgekit.runtime.photo_check import require_readable
from edgekit.stages.artifacts import make_artifacts
from edgekit.stages.batches import with_batches_in_use
from edgekit.stages.bundling import make_bundle
from edgekit.stages.diagnosis import explain_failure
from edgekit.stages.evaluation import (
    DetectionEvaluation,
    Evaluation,
    evaluate_boxes,
    evaluate_photos,
)
from edgekit.stages.everything import (
    EverythingEvaluation,
    evaluate_all_masks,
    verify_all_masks,
)
from edgekit.stages.graphs import lower_graphs
from edgekit.stages.limits import require_allowed
from edgekit.stages.measurement import (
    Bench,
    contestants_of,
    default_photo,
    mean_ious,
    notes_on,
    peak_shares,
    read_bundles,
)
from edgekit.stages.precision import make_plan
from edgekit.stages.reference import (
    record_reference,
    reference_of,
    reference_weights,
)
from edgekit.stages.speed import require_faster
from edgekit.stages.verification import (
    gate_of,
    photos_to_verify,
    verify_bundle,
    without_calibration_photos,
)
from edgekit.verification import EverythingVerdict, Verdict

__all__ = [
    "Bench",
    "BenchRequest",
    "DetectionEvaluation",
    "EvaluateDetectionsRequest",
    "EvaluateEverythingRequest",
    "EvaluateRequest",
    "Evaluation",
    "EverythingEvaluation",
    "EverythingVerdict",
    "ExportRequest",
    "Exported",
    "RecordRequest",
    "Report",
    "Verdict",
    "VerifyEverythingRequest",
    "VerifyRequest",
    "bench",
    "evaluate",
    "evaluate_detections",
    "evaluate_everything",
    "export",
    "record",
    "verify",
    "verify_everything",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A new bundle, and its verdict unless verification was left out."""

    bundle: Bundle
    verdict: Verdict | None


def export(request: ExportRequest, *, report: Report = SILENT) -> Exported:
    """Take a model from its checkpoint to a verified bundle.

    A failed gate raises nothing: ask `verdict.passed`.

    Raises:
        UnknownName, NotYet, RuntimeMissing: the pair cannot be exported here (before any work).
        BadInput: the bundle exists and `force` is not set, or the disk is full.
        CheckpointMismatch, WeightsUnavailable: no weights that fit.
        GraphRejected: the graph breaks a rule of the target, or INT8 is slower than float on this
            machine and `force` is not set.
    """
    row = registry.model(request.model)
    target = with_batches_in_use(catalog.target_or_file(request.target), row.client)
    require_allowed(row, target)
    lowering(target)
    calibration = catalog.calibration_set(request.calibration, photo_dir=request.photos)
    if request.calibration is not None:
        require_readable(calibration)
    final = request.out / f"{row.name}-{target.name}"
    store.require_replaceable(final, replace=request.force)
    for warning in (*_unused(request, target), *preflight(target, request.out)):
        report.warning(warning)
    with report.stage("weights"):
        source = locate(row, request.weights, progress=report.progress)
    for warning in filter(None, (row.warning, source.warning)):
        report.warning(warning)
    programs = Programs(row, source, target.prompt_shapes, report=report)
    with report.stage("precision"):
        plan = make_plan(
            programs,
            target,
            calibration,
            search=request.float_fallback,
            progress=report.progress,
        )
    with report.stage("graphs"):
        graphs = lower_graphs(programs, target, plan)
    programs.release()
    with report.stage(f"files for {target.runtime}"):
        files = make_artifacts(graphs, target)
    if target.int8 and not request.force:
        with report.stage("INT8 against float"):
            require_faster(programs, target, files)
    with report.stage("bundle"):
        bundle = make_bundle(final, target, graphs=graphs, files=files, replace=request.force)
    if not request.verify:
        return Exported(bundle=bundle, verdict=None)
    photos = without_calibration_photos(bundle, catalog.held_out_set())
    verdict = verify_bundle(bundle, source, photos, gate=target.gate, report=report)
    if target.int8 and verdict.results and not verdict.passed:
        with report.stage("diagnosis"):
            picture = final.with_name(f"{final.name}-mismatch.png")
            report.warning(
                explain_failure(programs, plan, verdict=verdict, verified=photos, picture=picture)
            )
    return Exported(bundle=bundle, verdict=verdict)


def _unused(request: ExportRequest, target: Target) -> Iterator[str]:
    """What of a request makes no difference to a target."""
    if request.calibration is not None and not plans_nodes(target):
        yield f"{target.name} has one precision throughout, so it uses no calibration photos."
    if request.float_fallback and target.precision is not Precision.INT8:
        yield f"{target.name} is not an INT8 target, so --float-fallback changes nothing."


def verify(request: VerifyRequest, *, report: Report = SILENT) -> Verdict:
    """Run a bundle's own files and compare their masks with the PyTorch reference's.

    Raises:
        BundleCorrupt: the bundle was changed.
        WeightsUnavailable: the reference's weights are not at hand.
        BadInput: the weights or the recording are not those of the bundle, or no photo can be read.
    """
    bundle = store.read_bundle(request.bundle)
    photos = photos_to_verify(bundle, request, report=report)
    source = reference_of(bundle, request, report=report)
    gate = gate_of(bundle.manifest.target, min_iou=request.min_iou)
    return verify_bundle(bundle, source, photos, gate=gate, report=report)


def record(request: RecordRequest, *, report: Report = SILENT) -> None:
    """Record the reference's answers, so that a device without PyTorch can verify a bundle.

    Raises:
        BundleCorrupt, WeightsUnavailable: as for `verify`.
        BadInput: as for `verify`, or the file cannot be written.
    """
    bundle = store.read_bundle(request.bundle)
    photos = photos_to_verify(bundle, request, report=report)
    with report.stage("weights"):
        source = reference_weights(bundle, request.weights, progress=report.progress)
    record_reference(bundle, source, photos, request=request, report=report)


def verify_everything(
    request: VerifyEverythingRequest, *, report: Report = SILENT
) -> EverythingVerdict:
    """Segment everything with a bundle and with the PyTorch reference, and match the masks.

    Raises:
        BundleCorrupt, WeightsUnavailable: as for `verify`.
        BadInput: as for `verify`, or the strategy or grid does not fit.
        RuntimeMissing: pycocotools is not installed.
    """
    bundle = store.read_bundle(request.bundle)
    photos = photos_to_verify(bundle, request, report=report)
    with report.stage("weights"):
        source = reference_weights(bundle, request.weights, progress=report.progress)
    return verify_all_masks(bundle, source, photos, request=request, report=report)


def evaluate(request: EvaluateRequest, *, report: Report = SILENT) -> Evaluation:
    """Score a bundle's masks against annotations. Needs no PyTorch.

    Raises:
        BundleCorrupt, RuntimeMissing: the bundle cannot be opened here.
        BadInput: the annotations do not read, have no masks, or no instance is large enough.
    """
    photos = catalog.photos_from(request.annotations, photo_dir=request.photos)
    require_readable(photos)
    predictor = Predictor(request.bundle)
    return evaluate_photos(predictor, photos, survey=request.survey, report=report)


def evaluate_detections(
    request: EvaluateDetectionsRequest, *, report: Report = SILENT
) -> DetectionEvaluation:
    """Measure the average precision of a bundle's masks for a detector's boxes. Needs no PyTorch.

    Raises:
        BundleCorrupt: the bundle was changed.
        RuntimeMissing: the bundle cannot be opened here, or pycocotools is not installed.
        BadInput: the annotations or detections do not read, or are of other photos.
    """
    photos = catalog.photos_from(request.annotations, photo_dir=request.photos)
    require_readable(photos)
    detections = catalog.read_detections(request.detections)
    return evaluate_boxes(Predictor(request.bundle), photos, detections, report=report)


def evaluate_everything(
    request: EvaluateEverythingRequest, *, report: Report = SILENT
) -> EverythingEvaluation:
    """Measure how many annotated objects are among all masks of a bundle. Needs no PyTorch.

    Raises:
        BundleCorrupt: the bundle was changed.
        RuntimeMissing: the bundle cannot be opened here, or pycocotools is not installed.
        BadInput: the annotations do not read or have no masks, or the strategy or grid does not
            fit.
    """
    photos = catalog.photos_from(request.annotations, photo_dir=request.photos)
    require_readable(photos)
    return evaluate_all_masks(Predictor(request.bundle), photos, request=request, report=report)


def bench(request: BenchRequest, *, report: Report = SILENT) -> Bench:
    """Time bundles beside each other and PyTorch, in turns, each in a process of its own.

    Raises:
        BundleCorrupt, BadInput: a bundle was changed, or two have the same name.
        WeightsUnavailable, RuntimeMissing: PyTorch was asked for and is not available.
    """
    bundles = read_bundles(request.bundles)
    contestants = contestants_of(bundles, request.against)
    conditions = Conditions(
        photo=request.photo or default_photo(),
        threads=request.threads or usable_cores(),
        rounds=request.rounds,
    )
    with report.stage("bench"):
        peak = MachinePeak(conditions.threads)
        figures = compare(contestants, conditions, peak=peak, on_round=report.progress)
    shares = peak_shares(bundles, figures, peak.rates)
    ious: dict[str, float] = {}
    if request.ious:
        with report.stage("IoU"):
            ious = mean_ious(bundles, figures)
    return Bench(
        figures=figures,
        cpu=read_machine().cpu,
        threads=conditions.threads,
        rounds=conditions.rounds,
        iou=ious,
        peak={precision.value: macs for precision, macs in peak.rates.items()},
        peak_share=shares,
        notes=notes_on(shares),
    )
