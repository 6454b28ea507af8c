"""A bundle's own files against the PyTorch reference: on which photos, and by which gate."""

from __future__ import annotations

from dataclasses import replace

from edgekit import catalog, store
from edgekit.errors import UnknownName
from edgekit.records import (
    Bundle,
    Gate,
    RecordRequest,
    Target,
    VerifyEverythingRequest,
    VerifyRequest,
    VolumeContract,
    WeightsSource,
)
from edgekit.report import Report
from edgekit.runtime import Predictor, VolumePredictor
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.opening import execution
from edgekit.runtime.photo_check import require_readable
from edgekit.stages.reference import reference_predictor, reference_volume_predictor
from edgekit.verification import Verdict, not_run, verify_predictors, verify_volumes
from edgekit.verification.recording import Recording


def verify_bundle(
    bundle: Bundle,
    source: WeightsSource | Recording,
    photos: catalog.PhotoSet,
    *,
    gate: Gate,
    report: Report,
) -> Verdict:
    """Compare masks on every photo; "not run", with the reason, where the files cannot be run.

    The reference is PyTorch's model with weights from the source, or a recording of its answers. A
    model of volumes is compared on seeded ones, and no photo is read.

    Raises:
        BadInput: there is no photo, or one cannot be read.
    """
    how = execution(bundle.manifest.target)
    if how.how == "not run":
        return not_run(f"{how.reason}", gate=gate)
    with report.stage("verify"):
        if isinstance(bundle.manifest.client, VolumeContract):
            assert isinstance(source, WeightsSource)  # recordings are of photos
            return verify_volumes(
                VolumePredictor(bundle),
                reference_volume_predictor(bundle.manifest.model, source),
                gate=gate,
                execution=how,
                on_volume=report.progress,
            )
        model = bundle.manifest.model
        reference = source if isinstance(source, Recording) else reference_predictor(model, source)
        return verify_predictors(
            Predictor(bundle),
            reference,
            photos,
            gate=gate,
            execution=how,
            on_photo=report.progress,
        )


def photos_to_verify(
    bundle: Bundle,
    request: VerifyRequest | VerifyEverythingRequest | RecordRequest,
    *,
    report: Report,
) -> catalog.PhotoSet:
    """The photos that the user names, or edgekit's that the bundle was not calibrated on.

    Warns of named photos that the bundle was calibrated on.

    Raises:
        BadInput: a named photo cannot be read, or the bundle segments volumes.
    """
    source = request.annotations or request.photos
    if source is None:
        return without_calibration_photos(bundle, catalog.image_set())
    photo_client(bundle.manifest.client)
    named = catalog.photos_from(source, photo_dir=request.photos if request.annotations else None)
    require_readable(named)
    if calibrated := len(named.photos) - len(without_calibration_photos(bundle, named).photos):
        report.warning(
            f"The bundle was calibrated on {calibrated} of these {len(named.photos)} photos: "
            "its masks may look better on them than on others."
        )
    return named


def without_calibration_photos(bundle: Bundle, photos: catalog.PhotoSet) -> catalog.PhotoSet:
    """The photos that a bundle was not calibrated on, by their digests."""
    calibration = bundle.manifest.calibration
    used = frozenset(calibration.photos) if calibration else frozenset()
    left = tuple(photo for photo in photos.photos if store.sha256_of(photo.path) not in used)
    return replace(photos, photos=left)


def gate_of(target: Target, *, min_iou: float | None) -> Gate:
    """The gate of edgekit's own profile, not the bundle's: a bundle must not weaken its judge.

    A target that this edgekit does not know keeps the bundle's gate. `min_iou` replaces one bound.
    """
    try:
        gate = catalog.target(target.name).gate
    except UnknownName:
        gate = target.gate
    return gate if min_iou is None else replace(gate, min_iou=min_iou)
