"""The stages in order, and the look-ups that let one be skipped. The story on one screen.

    ModelRow --locate--> WeightsSource --graphs--> Graph x2 --lower--> Artifact x2 --pack--> Bundle
        --verify--> Verdict

Every stage is cached by content: what went in (checkpoint digests, target, tool versions, edgekit's
own sources) is the key. A repeated export therefore never imports torch.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edgekit import backends, catalog, store
from edgekit.errors import BadInput, NotYet, UnknownName, WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.pack import bundle_readme, make_manifest, tool_versions, write_golden
from edgekit.records import (
    Artifact,
    Bundle,
    FileDigest,
    Gate,
    Graph,
    ModelRow,
    Precision,
    Target,
    WeightsSource,
)
from edgekit.runtime import Predictor
from edgekit.verify import Verdict, verify_predictors

PRECISIONS = (Precision.FP32,)
"""What the precision stage can do; a profile that asks for more says `not yet`."""


class Report(Protocol):
    """What the pipeline tells whoever watches it."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """A stage begins on entering and is over on leaving."""

    def progress(self, done: int, total: int | None) -> None:
        """Steps (or bytes) of the current stage."""

    def warning(self, text: str) -> None:
        """Something that must not be overlooked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """One model for one target; `weights` empty means the default order of `locate`."""

    model: str
    target: str
    weights: tuple[str, ...] = ()
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
        BadInput: the bundle exists and `force` is not set.
        CheckpointMismatch, WeightsUnavailable: no weights that fit.
    """
    row, target = registry.model(request.model), catalog.target(request.target)
    backend = _ready_backend(target)
    final = request.out / f"{row.name}-{target.name}"
    store.require_replaceable(final, replace=request.force)
    with report.stage("weights"):
        source = locate(row, request.weights, progress=report.progress)
    if source.warning:
        report.warning(source.warning)
    with report.stage("graphs"):
        graphs = _graphs(row, source, target)
    with report.stage(f"lower to {target.runtime}"):
        lowered = _lowered(graphs, target, backend)
    with report.stage("pack"), store.atomic_dir(final, replace=request.force) as folder:
        _pack(folder, row, target, source, graphs=graphs, lowered=lowered)
    bundle = store.read_bundle(final)
    if not request.verify:
        return Exported(bundle=bundle, verdict=None)
    verdict = _verify(bundle, catalog.image_set(), source, gate=target.gate, report=report)
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
    """
    bundle = store.read_bundle(path)
    row = registry.model(bundle.manifest.model)
    photo_set = catalog.photos_from(photos) if photos else catalog.image_set()
    with report.stage("weights"):
        source = _reference_weights(row, bundle, weights, report)
    gate = _gate(bundle.manifest.target)
    gate = gate if min_iou is None else replace(gate, min_iou=min_iou)
    return _verify(bundle, photo_set, source, gate=gate, report=report)


def _ready_backend(target: Target) -> backends.Backend:
    """The target's backend, refused before any work if it or the precision is not there."""
    backend = backends.backend(target.runtime)
    if target.precision not in PRECISIONS:
        raise NotYet(
            f"Target {target.name} asks for {target.precision}, which edgekit cannot make yet.",
            expected=f"a target of precision {', '.join(PRECISIONS)}",
            next_step="edgekit targets",
        )
    return backend


def _graphs(row: ModelRow, source: WeightsSource, target: Target) -> Path:
    """A cached folder with `encoder.onnx`, `decoder.onnx`, `graphs.json` and `golden/`."""
    identity = [f"{file.sha256}" for file in source.files] or [f"seed {source.seed}"]
    key = store.content_key(
        "graphs",
        store.code_digest("models", "graph", "pack", "runtime", "records"),
        row.name,
        *identity,
        str(target.opset),
        str(sorted(target.forbidden_ops)),
        str(sorted(tool_versions().items())),
    )

    def build(folder: Path) -> None:
        from edgekit.graph.capture import capture_decoder, capture_encoder
        from edgekit.graph.onnx_lowering import lower_to_onnx
        from edgekit.models.checkpoints.fit import load
        from edgekit.models.reference import reference_sessions

        split = load(row, source)
        programs = (capture_encoder(split.encoder), capture_decoder(split.decoder))
        graphs = tuple(lower_to_onnx(program, target, folder=folder) for program in programs)
        encoder, decoder = reference_sessions(split)
        photo = catalog.image_set().photos[0].path
        write_golden(folder, photo, client=row.client, encoder=encoder, decoder=decoder)
        store.write_records(folder / "graphs.json", graphs)

    return store.cached_dir(key, build)


def _lowered(graphs: Path, target: Target, backend: backends.Backend) -> Path:
    """A cached folder with the runtime's files and `artifacts.json`."""
    records = store.read_records(graphs / "graphs.json", Graph)
    key = store.content_key(
        "artifacts",
        store.code_digest("backends", "records"),
        *(graph.sha256 for graph in records),
        target.runtime,
        str(backend.probe().version),
        str(sorted(target.options.items())),
    )

    def build(folder: Path) -> None:
        artifacts = tuple(
            backend.lower(replace(graph, path=graphs / graph.path.name), target, folder)
            for graph in records
        )
        store.write_records(folder / "artifacts.json", artifacts)

    return store.cached_dir(key, build)


def _pack(
    folder: Path,
    row: ModelRow,
    target: Target,
    source: WeightsSource,
    *,
    graphs: Path,
    lowered: Path,
) -> None:
    artifacts = store.read_records(lowered / "artifacts.json", Artifact)
    for file in (file for artifact in artifacts for file in artifact.files):
        shutil.copyfile(lowered / file.path, folder / file.path)
    shutil.copytree(graphs / "golden", folder / "golden")
    golden = tuple(
        store.digest_file(path, relative_to=folder) for path in sorted(folder.glob("golden/*"))
    )
    manifest = make_manifest(row, target, source, artifacts=artifacts, golden=golden)
    store.write_manifest(folder, manifest)
    store.write_atomic(folder / "README.md", bundle_readme(manifest))


def _verify(
    bundle: Bundle,
    photos: catalog.PhotoSet,
    source: WeightsSource,
    *,
    gate: Gate,
    report: Report,
) -> Verdict:
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    with report.stage("verify"):
        candidate = Predictor(bundle)
        row = registry.model(bundle.manifest.model)
        encoder, decoder = reference_sessions(load(row, source))
        reference = Predictor.from_sessions(row.client, encoder, decoder)
        return verify_predictors(
            candidate, reference, photos, gate=gate, how="native", on_photo=report.progress
        )


def _gate(target: Target) -> Gate:
    """The profile's own gate where it is known: a bundle must not relax what it is judged by."""
    try:
        return catalog.target(target.name).gate
    except UnknownName:
        return target.gate


def _reference_weights(
    row: ModelRow, bundle: Bundle, weights: tuple[str, ...], report: Report
) -> WeightsSource:
    """The very weights the bundle was made from, or a refusal."""
    made_from = bundle.manifest.weights
    if not weights:
        weights = _found_again(made_from)
    source = locate(row, weights, progress=report.progress)
    _require_same_weights(source, made_from)
    return source


def _found_again(made_from: WeightsSource) -> tuple[str, ...]:
    """What `--weights` would have to say. A bundle does not tell where a user's files lie."""
    if made_from.kind == "seeded":
        return (f"seeded:{made_from.seed}",)
    if made_from.kind == "path":
        names = " ".join(f"--weights {file.path}" for file in made_from.files)
        raise WeightsUnavailable(
            "This bundle was made from files of your own, so the reference needs them again.",
            next_step=f"edgekit verify BUNDLE {names} (with their folders)",
        )
    return (made_from.kind,)


def _require_same_weights(source: WeightsSource, made_from: WeightsSource) -> None:
    if _identity(source) != _identity(made_from):
        raise BadInput(
            f"These {source.kind} weights are not those this bundle was made from.",
            expected=f"{made_from.kind} weights with digests {_identity(made_from)}",
            next_step="give the original files as --weights PATH",
        )


def _identity(source: WeightsSource) -> tuple[str, ...] | int | None:
    files: tuple[FileDigest, ...] = source.files
    return tuple(file.sha256 for file in files) or source.seed
