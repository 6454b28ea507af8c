"""A cell in two parts: a parcel is made where PyTorch is, and a device runs it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from edgekit import catalog, store
from edgekit.interpreter import python_command
from edgekit.matrix import Measure
from edgekit.matrix.config import Config
from edgekit.matrix.fleets import device, here, parcel
from edgekit.matrix.fleets.parcel import parcel_of, unpack
from edgekit.matrix.process import Limits
from edgekit.matrix.steps import device_commands, maker_commands
from edgekit.records import NATIVE, Execution
from tests.coco_shapes import write_coco

LIMITS = Limits(seconds=60, bytes=4 * 10**9)
MAKES = """
import pathlib, sys
if sys.argv[1] == "export":
    bundle = pathlib.Path(sys.argv[sys.argv.index("--out") + 1], "nanosam-x86-fp32")
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
else:
    pathlib.Path(sys.argv[sys.argv.index("--out") + 1]).write_text("recorded")
"""
RUNS = "import sys; print(sys.argv[1:])"


def test_the_commands_of_both_parts(make_cell):
    cell = replace(make_cell("x86-fp32"), photos="mine", measures=tuple(Measure))
    made = {name: " ".join(words) for name, words in maker_commands(cell).items()}
    assert made == {
        "export": "export nanosam --target x86-fp32 --weights seeded --out dist --no-verify --json",
        "record": "record dist/nanosam-x86-fp32 --photos mine --weights seeded "
        "--out dist/reference.zip",
    }
    ran = {name: " ".join(words) for name, words in device_commands(cell, photos="there").items()}
    assert ran["verify"].startswith("verify dist/nanosam-x86-fp32 --photos there ")
    assert ran["verify"].endswith(" --reference dist/reference.zip")
    assert ran["bench"] == "bench dist/nanosam-x86-fp32 --rounds 7 --json"
    assert ran["evaluate"] == "evaluate dist/nanosam-x86-fp32 there --survey --json -"
    assert "seeded" not in f"{ran}", "the device has no weights"


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """Values of `--photos`, by what they are."""
    nested = tmp_path / "folder" / "a" / "b.png"
    nested.parent.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(nested)
    return {
        "a folder": tmp_path / "folder",
        "a photo": nested,
        "annotations": write_coco(tmp_path / "coco"),
    }


@pytest.mark.parametrize("kind", ["a folder", "a photo", "annotations"])
def test_a_parcel_keeps_the_photos_with_their_names(make_cell, monkeypatch, tmp_path, photos, kind):
    monkeypatch.setattr(parcel, "leashed", lambda words: python_command(MAKES, *words))
    cell = replace(make_cell("x86-fp32"), photos=str(photos[kind]))
    with parcel_of(cell, limits=LIMITS, stop=Event()) as made:
        assert [run.step.name for run in made.runs] == ["export", "record"]
        assert made.archive is not None
        there = unpack(made.archive, tmp_path / "device")
    assert not made.archive.exists()
    assert (tmp_path / "device" / "nanosam-x86-fp32" / "manifest.json").read_text() == "{}"
    assert (tmp_path / "device" / "reference.zip").read_text() == "recorded"
    sent, got = (catalog.photos_from(Path(path)).photos for path in (photos[kind], there))
    assert [(photo.id, photo.instances) for photo in got] == [
        (photo.id, photo.instances) for photo in sent
    ]


def test_a_parcel_without_photos_of_the_user(make_cell, monkeypatch, tmp_path):
    monkeypatch.setattr(parcel, "leashed", lambda words: python_command(MAKES, *words))
    with parcel_of(make_cell("x86-fp32"), limits=LIMITS, stop=Event()) as made:
        assert unpack(made.archive, tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("code", ["exit(3)", "exit(1)", "import time; time.sleep(60)"])
def test_there_is_no_parcel_if_a_step_fails(make_cell, monkeypatch, code):
    monkeypatch.setattr(parcel, "leashed", lambda _: python_command(code))
    limits = replace(LIMITS, seconds=3)
    with parcel_of(make_cell("x86-fp32"), limits=limits, stop=Event()) as made:
        assert made.archive is None
        assert made.runs[-1].step.exit_code in (1, 3, None)
    assert list((store.cache_dir() / "matrix").iterdir()) == []


@pytest.mark.parametrize(
    ("how", "script", "steps"),
    [
        (NATIVE, "exit 0", ["build", "verify"]),
        (NATIVE, "exit 3", ["build"]),
        (Execution(how="emulated", reason="no GPU"), "exit 3", ["verify"]),
    ],
)
def test_a_device_builds_engines_before_it_verifies(make_cell, monkeypatch, how, script, steps):
    monkeypatch.setattr(here, "execution", lambda _: how)
    monkeypatch.setattr(device, "leashed", lambda words: python_command(RUNS, *words))

    def fetch(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("nanosam-jetson-fp16/manifest.json", "{}")
            archive.writestr("nanosam-jetson-fp16/build.sh", script)

    cell, target = make_cell("jetson-fp16"), catalog.target("jetson-fp16")
    runs = device.run_parcel(cell, target, fetch, Config(timeout=60), Event())
    assert [run.step.name for run in runs] == steps
    if steps[0] == "build":
        assert runs[0].step.command == ("bash", "dist/nanosam-jetson-fp16/build.sh")
