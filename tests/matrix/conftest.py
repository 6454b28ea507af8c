"""A matrix over cells without models."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.catalog.tables import table_dir
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
def own_target(tmp_path: Path) -> Callable[..., Path]:
    """`own_target("board", min_iou=0.9)`: the file of a target of the user's own."""

    def write(name: str, *, folder: str = "boards", min_iou: float = 0.99) -> Path:
        text = (table_dir("targets") / "x86-fp32.toml").read_text()
        text = re.sub("^name = .*$", f'name = "{name}"', text, flags=re.M)
        text = re.sub("^min_iou = .*$", f"min_iou = {min_iou}", text, flags=re.M)
        file = tmp_path / folder / f"{name}.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return write


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
