"""The PyTorch model that a bundle was made from, or its recorded answers: the reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import catalog, store
from edgekit.errors import BadInput, WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import (
    Bundle,
    Feeds,
    FloatArray,
    RecordRequest,
    Role,
    Session,
    VerifyRequest,
    WeightsSource,
)
from edgekit.report import Report
from edgekit.runtime import Predictor, VolumePredictor
from edgekit.runtime.client_kinds import photo_client, volume_client
from edgekit.verification.recording import Recording, record

if TYPE_CHECKING:
    from edgekit.models.checkpoints.fit import Split


def reference_of(
    bundle: Bundle, request: VerifyRequest, *, report: Report
) -> WeightsSource | Recording:
    """The reference of a request: the recording that it names, or the weights of PyTorch's model.

    Raises:
        BadInput: the recording is of another bundle's weights, or cannot be read; weights and a
            recording are given; or the bundle segments volumes, which are not recorded.
        WeightsUnavailable: as for `reference_weights`.
    """
    if request.reference is None:
        with report.stage("weights"):
            return reference_weights(bundle, request.weights, progress=report.progress)
    if request.weights:
        raise BadInput(
            "--weights are not used beside --reference: a recording holds PyTorch's answers.",
            expected="one of the two",
        )
    return _recording(request.reference, bundle)


def record_reference(
    bundle: Bundle,
    source: WeightsSource,
    photos: catalog.PhotoSet,
    *,
    request: RecordRequest,
    report: Report,
) -> None:
    """Write the answers of PyTorch's model, with weights from the source, on photos.

    Raises:
        BadInput: a photo cannot be read, or the file cannot be written.
    """
    manifest = bundle.manifest
    with report.stage("record"):
        record(
            request.out,
            reference_predictor(manifest.model, source),
            photos,
            model=manifest.model,
            weights=manifest.weights,
            on_photo=report.progress,
        )


def _recording(path: Path, bundle: Bundle) -> Recording:
    recording = Recording(
        path, lambda index: photo_client(registry.model(index.model).client_for(index.weights.kind))
    )
    recorded, made_from = recording.index, bundle.manifest
    same = recorded.weights.identity == made_from.weights.identity
    if recorded.model != made_from.model or not same:
        raise BadInput(
            f"The recording {path} is of {recorded.model} with other weights than this bundle's.",
            expected=f"{made_from.model} with {made_from.weights.kind} weights of the digests "
            f"{made_from.weights.identity}",
            next_step=f"edgekit record BUNDLE --out {path}",
        )
    return recording


def reference_weights(
    bundle: Bundle, weights: tuple[str, ...], *, progress: store.Progress | None = None
) -> WeightsSource:
    """Locate the weights that the bundle was made from.

    Args:
        bundle: its manifest names them.
        weights: where they are, as for `locate`. Empty means where the manifest says.
        progress: called during a download.

    Raises:
        WeightsUnavailable: they were the user's own files, and a bundle holds no paths.
        BadInput: these weights have other digests.
    """
    made_from = bundle.manifest.weights
    row = registry.model(bundle.manifest.model)
    source = locate(row, weights or _named_in(made_from), progress=progress)
    require_same(source, made_from)
    return source


def reference_predictor(model: str, source: WeightsSource, *, proposes: bool = False) -> Predictor:
    """The PyTorch model in float32, behind the Predictor that also runs bundles.

    With `proposes`, its encoder also gives what a proposal network reads. Only that is computed by
    the form of the encoder that is exported; the masks are the plain model's.
    """
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    row = registry.model(model)
    client = photo_client(row.client_for(source.kind))
    split = load(row, source)
    encoder, *decoder = reference_sessions(split)
    if proposes:
        encoder = _WithExportedFeatures(encoder, split)
    return Predictor.from_sessions(client, encoder, *decoder)


class _WithExportedFeatures:
    """An encoder's session that gives the features of its exported form too."""

    def __init__(self, plain: Session, split: Split) -> None:
        from edgekit.models.reference import TorchSession
        from edgekit.program.passes.exported_form import exported_forms

        forms = exported_forms(split.encoder, split.decoder, split.row.graph)
        self._plain = plain
        self._exported = TorchSession(forms.encoder, Role.ENCODER, forms.contract)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """The outputs of both by name."""
        return {**self._exported.run(feeds), **self._plain.run(feeds)}


def reference_volume_predictor(model: str, source: WeightsSource) -> VolumePredictor:
    """As `reference_predictor`, for a model of volumes."""
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    row = registry.model(model)
    encoder, decoder = reference_sessions(load(row, source))
    return VolumePredictor.from_sessions(volume_client(row.client), encoder, decoder)


def require_same(source: WeightsSource, made_from: WeightsSource) -> None:
    """Raise BadInput unless these are the weights that the bundle was made from."""
    if source.identity != made_from.identity:
        raise BadInput(
            f"This bundle was made from other weights than these {source.kind} ones.",
            expected=f"{made_from.kind} weights with digests {made_from.identity}",
            next_step="give the original files with --weights PATH",
        )


def _named_in(made_from: WeightsSource) -> tuple[str, ...]:
    """The values of `--weights` that name these weights."""
    if made_from.kind == "seeded":
        return (f"seeded:{made_from.seed}",)
    if made_from.kind == "path":
        names = " ".join(f"--weights {file.path}" for file in made_from.files)
        raise WeightsUnavailable(
            "This bundle was made from your own files, and verification needs them again.",
            next_step=f"edgekit verify BUNDLE {names} (with their folders)",
        )
    return (made_from.kind,)
