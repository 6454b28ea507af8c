"""Which contestants `bench` times, and what is computed from their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgekit import catalog, store
from edgekit.benchmark import Contestant, Figures, bundle_contestant, pytorch_contestant
from edgekit.benchmark.figures import Task
from edgekit.benchmark.machine_peak import share_of_peak
from edgekit.errors import BadInput
from edgekit.records import Against, Bundle, Precision, Role
from edgekit.runtime import Predictor
from edgekit.stages.reference import reference_predictor, reference_weights
from edgekit.verification import verify_predictors

IOU_PHOTOS = 4
"""Photos used to measure the IoU in a latency picture. `edgekit verify` uses all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The times, and the conditions under which they were measured.

    `iou` is each contestant's mean mask IoU with PyTorch (1 for PyTorch itself). `peak` is the most
    MACs per second that this machine reached in any turn, per precision. `peak_share` is the share
    of it that each bundle's encoder reached in its fastest turn. `notes` says what a reader must
    know of these figures.
    """

    figures: tuple[Figures, ...]
    cpu: str
    threads: int
    rounds: int
    iou: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    peak_share: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_bundles(paths: Sequence[Path]) -> tuple[Bundle, ...]:
    """Read the bundles. Their names must differ.

    Raises:
        BundleCorrupt: a bundle was changed.
        BadInput: two have the same name.
    """
    bundles = tuple(store.read_bundle(path) for path in paths)
    names = [bundle.name for bundle in bundles]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInput(
            f"Two bundles are named {', '.join(sorted(twice))}.",
            expected="folders or .zip files with different names, because the table uses them",
        )
    return bundles


def contestants_of(bundles: Sequence[Bundle], against: Sequence[Against]) -> list[Contestant]:
    """PyTorch first, if asked for, then the bundles. Ratios are relative to the first.

    Raises:
        WeightsUnavailable: the first bundle's weights are needed and cannot be found.
        RuntimeMissing: PyTorch is not installed.
    """
    made: list[Contestant] = []
    if against:
        first = bundles[0]
        source = reference_weights(first, ())
        for kind in against:
            mode: Literal["eager", "compile"] = "eager" if kind == "pytorch" else "compile"
            made.append(pytorch_contestant(first.manifest.model, source, kind=mode))
    return [*made, *(bundle_contestant(bundle) for bundle in bundles)]


def default_photo() -> Path:
    """The first bundled photo."""
    return catalog.image_set().photos[0].path


def mean_ious(bundles: Sequence[Bundle], figures: Sequence[Figures]) -> dict[str, float]:
    """Mean mask IoU with PyTorch on `IOU_PHOTOS` bundled photos, for each contestant that ran."""
    ran = {row.name for row in figures if row.missing is None}
    found = {name: 1.0 for name in ran if name.startswith("PyTorch ")}
    photos = catalog.image_set()
    few = catalog.PhotoSet(name=photos.name, photos=photos.photos[:IOU_PHOTOS])
    for bundle in bundles:
        if bundle.name in ran:
            verdict = verify_predictors(
                Predictor(bundle),
                reference_predictor(bundle.manifest.model, reference_weights(bundle, ())),
                few,
                gate=bundle.manifest.target.gate,
            )
            assert verdict.overall is not None
            found[bundle.name] = verdict.overall.mean_iou
    return found


def peak_shares(
    bundles: Sequence[Bundle], figures: Sequence[Figures], peak: Mapping[Precision, float]
) -> dict[str, float]:
    """The share of the machine's peak that each bundle's encoder reached, by the bundle's name.

    The fastest call counts, as it does for the peak: the one that other work disturbed least.
    """
    rows = {row.name: row for row in figures}
    shares: dict[str, float] = {}
    for bundle in bundles:
        timing = rows[bundle.name].timing(Task.ENCODER)
        share = share_of_peak(
            bundle.artifact(Role.ENCODER).macs,
            timing.fastest if timing else None,
            bundle.manifest.target.precision,
            peak,
        )
        if share is not None:
            shares[bundle.name] = share
    return shares


def notes_on(shares: Mapping[str, float]) -> tuple[str, ...]:
    """A sentence for each share above the whole peak."""
    return tuple(
        f"{name} reached {share:.0%} of the CPU's peak: the machine was busier in all turns in"
        " which its peak was measured, or the runtime needs fewer products than the graph has."
        for name, share in shares.items()
        if share > 1
    )
