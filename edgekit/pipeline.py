"""The stages in order, and nothing else: the story on one screen.

ModelRow --locate--> WeightsSource --lower--> Graph x2 --convert--> Artifact x2 --> Bundle
    --verify--> Verdict
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from edgekit import catalog, store
from edgekit.bench import compare
from edgekit.doctor import preflight, read_machine, usable_cores
from edgekit.errors import UnknownName
from edgekit.lowering import lowering
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.program.programs import Programs
from edgekit.records import Bundle, Gate, Target, WeightsSource
from edgekit.runtime import Predictor
from edgekit.runtime.opening import execution
from edgekit.stages.artifacts import make_artifacts
from edgekit.stages.bundling import make_bundle
from edgekit.stages.diagnosis import explain_failure
from edgekit.stages.graphs import lower_graphs
from edgekit.stages.measurement import (
    Bench,
    BenchRequest,
    contestants_of,
    default_photo,
    mean_ious,
    peaks,
    read_bundles,
)
from edgekit.stages.precision import make_plan, without_calibration_photos
from edgekit.stages.reference import reference_predictor, reference_weights
from edgekit.stages.speed import require_faster
from edgekit.verify import Verdict, not_run, verify_predictors

__all__ = [
    "Bench",
    "BenchRequest",
    "ExportRequest",
    "Exported",
    "Report",
    "bench",
    "export",
    "verify",
]


class Report(Protocol):
    """What the pipeline tells whoever watches it."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """A stage begins on entering and is over on leaving."""

    def progress(self, done: int, total: int | None) -> None:
        """Steps (or bytes) of the current stage; the total is None where it is not known."""

    def warning(self, text: str) -> None:
        """Something that must not be overlooked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """One model for one target; `weights` empty means the default order of `locate`.

    `calibration` names an image set, a folder or a COCO JSON; None takes edgekit's own. `precision`
    "auto" moves blocks of an INT8 recipe back to float until the gate holds. `force` replaces a
    bundle, and ships INT8 that is slower than float.
    """

    model: str
    target: str
    weights: tuple[str, ...] = ()
    calibration: str | None = None
    precision: Literal["recipe", "auto"] = "recipe"
    out: Path = Path("dist")
    force: bool = False
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The bundle, and the verdict unless verification was left out."""

    bundle: Bundle
    verdict: Verdict | None


def export(request: ExportRequest, *, report: Report) -> Exported:
    """Checkpoint to verified bundle.

    Raises:
        UnknownName, NotYet, RuntimeMissing: the pair cannot be exported here; told before any work.
        BadInput: the bundle exists and `force` is not set, or the disk is full.
        CheckpointMismatch, WeightsUnavailable: no weights that fit.
        GraphRejected: the model's graph breaks a rule of the target, or INT8 is slower than float
            here and `force` is not set.
    """
    row, target = registry.model(request.model), catalog.target(request.target)
    lowering(target)
    calibration = catalog.calibration_set(request.calibration)
    final = request.out / f"{row.name}-{target.name}"
    store.require_replaceable(final, replace=request.force)
    for warning in preflight(target, request.out):
        report.warning(warning)
    with report.stage("weights"):
        source = locate(row, request.weights, progress=report.progress)
    for warning in filter(None, (row.warning, source.warning)):
        report.warning(warning)
    programs = Programs(row, source, target.prompt_slots)
    with report.stage("precision"):
        plan = make_plan(
            programs,
            target,
            calibration,
            search=request.precision == "auto",
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
    verdict = _verdict(bundle, source, photos, gate=target.gate, report=report)
    if target.int8 and verdict.results and not verdict.passed:
        with report.stage("diagnosis"):
            picture = final.with_name(f"{final.name}-mismatch.png")
            report.warning(
                explain_failure(programs, plan, verdict=verdict, verified=photos, picture=picture)
            )
    return Exported(bundle=bundle, verdict=verdict)


def verify(
    path: Path,
    *,
    photos: Path | None,
    weights: tuple[str, ...],
    min_iou: float | None,
    report: Report,
) -> Verdict:
    """Run a bundle's own files against the PyTorch reference.

    Args:
        path: the bundle's folder.
        photos: a folder or a COCO file; None takes the bundled photos.
        weights: where the reference's weights are, if not where the manifest says.
        min_iou: replaces the smallest IoU that the target's gate demands.
        report: receives stages and progress.

    Raises:
        BundleCorrupt: the bundle was changed.
        WeightsUnavailable, BadInput: the reference's weights are not at hand, or are others.
    """
    bundle = store.read_bundle(path)
    photo_set = _photos_to_verify(bundle, photos, report=report)
    with report.stage("weights"):
        source = reference_weights(bundle, weights, progress=report.progress)
    gate = _gate(bundle.manifest.target)
    gate = gate if min_iou is None else replace(gate, min_iou=min_iou)
    return _verdict(bundle, source, photo_set, gate=gate, report=report)


def bench(request: BenchRequest, *, report: Report) -> Bench:
    """Time bundles beside each other and PyTorch, in turns.

    Raises:
        BundleCorrupt, BadInput: a bundle was changed, or two have the same name.
        WeightsUnavailable, RuntimeMissing: PyTorch was asked for and cannot be had.
    """
    bundles = read_bundles(request.bundles)
    contestants = contestants_of(bundles, request.against)
    threads = request.threads or usable_cores()
    with report.stage("bench"):
        figures = compare(
            contestants,
            request.photo or default_photo(),
            threads=threads,
            rounds=request.rounds,
            on_call=report.progress,
        )
    with report.stage("machine's peak"):
        peak, shares = peaks(bundles, figures, threads)
    ious: dict[str, float] = {}
    if request.ious:
        with report.stage("IoU"):
            ious = mean_ious(bundles, figures)
    return Bench(
        figures=figures,
        cpu=read_machine().cpu,
        threads=threads,
        rounds=request.rounds,
        iou=ious,
        peak={precision.value: macs for precision, macs in peak.items()},
        peak_share=shares,
    )


def _verdict(
    bundle: Bundle,
    source: WeightsSource,
    photos: catalog.PhotoSet,
    *,
    gate: Gate,
    report: Report,
) -> Verdict:
    target = bundle.manifest.target
    how = execution(target)
    if how.how == "not run":
        return not_run(f"{how.reason}", gate=gate)
    with report.stage("verify"):
        return verify_predictors(
            Predictor(bundle),
            reference_predictor(bundle.manifest.model, source),
            photos,
            gate=gate,
            execution=how,
            on_photo=report.progress,
        )


def _photos_to_verify(bundle: Bundle, photos: Path | None, *, report: Report) -> catalog.PhotoSet:
    if photos is None:
        return without_calibration_photos(bundle, catalog.image_set())
    chosen = catalog.photos_from(photos)
    if seen := len(chosen.photos) - len(without_calibration_photos(bundle, chosen).photos):
        report.warning(
            f"{seen} of the {len(chosen.photos)} photos are among those that the bundle was "
            "calibrated on: masks may look better than on others."
        )
    return chosen


def _gate(target: Target) -> Gate:
    """The profile's own gate where it is known: a bundle must not relax what it is judged by."""
    try:
        return catalog.target(target.name).gate
    except UnknownName:
        return target.gate
