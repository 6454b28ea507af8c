"""A matrix over cells without models."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.matrix import Cell, Fleet, MatrixRequest, Overview, run_matrix
from edgekit.matrix.fleets import dask, ssh
from edgekit.matrix.fleets.parcel import Parcel
from edgekit.matrix.steps import bundle_name
from tests.matrix.fakes import FakeWatch, passed

MODELS = ("nanosam", "mobilesam")
TARGETS = ("x86-fp32", "x86-int8", "jetson-fp16")

RunMatrix = Callable[..., Overview]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results folder, which is not there yet."""
    return tmp_path / "results"


@pytest.fixture
def matrix(results: Path) -> RunMatrix:
    """`matrix(fleet, ...)`: two models for three targets with seeded weights."""

    def run(fleet: Fleet, **asked: object) -> Overview:
        usual = {"models": MODELS, "targets": TARGETS, "weights": {"*": ("seeded",)}}
        request = MatrixRequest(**{**usual, "results": results, **asked})
        return run_matrix(request, fleet, watch=FakeWatch())

    return run


@pytest.fixture
def make_cell() -> Callable[[str], Cell]:
    """`make_cell(target)`: NanoSAM with seeded weights for a target."""
    return lambda target: Cell(model="nanosam", target=target, weights=("seeded",))


@pytest.fixture
def made_parcels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Parcels of all fleets are made without an export: they hold an empty bundle."""

    @contextmanager
    def made(cell: Cell, **_: object) -> Iterator[Parcel]:
        path = tmp_path / f"{cell.name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{bundle_name(cell)}/manifest.json", "{}")
        yield Parcel(runs=passed()(cell)[:1], archive=path)

    for fleet in (ssh, dask):
        monkeypatch.setattr(fleet, "parcel_of", made)
