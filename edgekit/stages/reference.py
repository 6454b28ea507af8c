"""The PyTorch model that a bundle was made from: the reference for verification."""

from __future__ import annotations

from edgekit import store
from edgekit.errors import BadInput, WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import Bundle, WeightsSource
from edgekit.runtime import Predictor, VolumePredictor
from edgekit.runtime.client_kinds import photo_client, volume_client


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


def reference_predictor(model: str, source: WeightsSource) -> Predictor:
    """The PyTorch model in float32, behind the Predictor that also runs bundles."""
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    row = registry.model(model)
    client = photo_client(row.client_for(source.kind))
    return Predictor.from_sessions(client, *reference_sessions(load(row, source)))


def reference_volume_predictor(model: str, source: WeightsSource) -> VolumePredictor:
    """As `reference_predictor`, for a model of volumes."""
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    row = registry.model(model)
    encoder, decoder = reference_sessions(load(row, source))
    return VolumePredictor.from_sessions(volume_client(row.client), encoder, decoder)


def require_same(source: WeightsSource, made_from: WeightsSource) -> None:
    """Raise BadInput unless these are the weights that the bundle was made from."""
    if _identity(source) != _identity(made_from):
        raise BadInput(
            f"This bundle was made from other weights than these {source.kind} ones.",
            expected=f"{made_from.kind} weights with digests {_identity(made_from)}",
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


def _identity(source: WeightsSource) -> tuple[str, ...] | int | None:
    keys = (file.path.rpartition("#")[2] for file in source.files if "#" in file.path)
    return (*(file.sha256 for file in source.files), *keys) or source.seed
