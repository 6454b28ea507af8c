"""Which reference a verification gets: a recording only of the bundle's own weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.records import FileDigest, VerifyRequest, WeightsSource
from edgekit.report import SILENT
from edgekit.stages.reference import reference_of
from edgekit.verification.recording import Recording, record

SEEDED = WeightsSource(kind="seeded", licence="none", seed=0)
FILE = FileDigest(path="w.pt", sha256="a" * 64, bytes=1)


def bundle(model: str = "nanosam", weights: WeightsSource = SEEDED) -> SimpleNamespace:
    return SimpleNamespace(manifest=SimpleNamespace(model=model, weights=weights))


@pytest.fixture
def request_of(tmp_path: Path) -> VerifyRequest:
    """A verification with a recording of NanoSAM with seeded weights."""
    path = tmp_path / "reference.zip"
    record(path, None, PhotoSet(name="none", photos=()), model="nanosam", weights=SEEDED)
    return VerifyRequest(bundle=Path("bundle"), reference=path)


def test_a_recording_of_the_bundles_weights_stands_for_pytorch(request_of):
    reference = reference_of(bundle(), request_of, report=SILENT)
    assert isinstance(reference, Recording)
    assert reference.client == registry.model("nanosam").client


@pytest.mark.parametrize(
    "other",
    [
        bundle(model="mobilesam"),
        bundle(weights=WeightsSource(kind="seeded", licence="none", seed=1)),
        bundle(weights=WeightsSource(kind="official", licence="none", files=(FILE,))),
    ],
)
def test_a_recording_of_other_weights_is_refused(request_of, other):
    with pytest.raises(BadInput, match="is of nanosam with other weights than this bundle's"):
        reference_of(other, request_of, report=SILENT)


def test_weights_beside_a_recording_would_not_be_used(request_of):
    asked = replace(request_of, weights=("seeded",))
    with pytest.raises(BadInput, match="--weights are not used beside --reference"):
        reference_of(bundle(), asked, report=SILENT)
