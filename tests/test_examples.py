"""Every example runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edgekit import catalog

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object, cwd: Path | None = None) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def photo() -> Path:
    return catalog.image_set().photos[0].path


def test_segment_a_photo(nanosam_bundle: Path, photo: Path, tmp_path: Path) -> None:
    out = run("01_segment_a_photo.py", nanosam_bundle, photo, 200, 300, tmp_path / "mask.png")
    assert "candidates; the best covers" in out
    with Image.open(tmp_path / "mask.png") as drawn, Image.open(photo) as original:
        assert drawn.size == original.size


def test_many_boxes(nanosam_bundle: Path, photo: Path) -> None:
    assert "batched" in run("02_many_boxes.py", nanosam_bundle, photo)


@pytest.mark.parametrize("model", ["nanosam", "mobilesam"])
def test_without_edgekit(exported: Callable[[str, str], Path], model: str) -> None:
    assert "all stages agree" in run("03_without_edgekit.py", exported(model, "x86-ort-fp32"))


def test_contact_sheet(nanosam_bundle: Path, tmp_path: Path) -> None:
    assert "12 photos" in run("04_contact_sheet.py", nanosam_bundle, tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (1280, 720)


def test_precisions_side_by_side(exported: Callable[[str, str], Path], tmp_path: Path) -> None:
    pair = exported("nanosam", "x86-fp32"), exported("nanosam", "x86-ort-fp32")
    out = run("05_precisions_side_by_side.py", tmp_path / "sheet.jpg", *pair)
    assert "5 photos, 2 bundles" in out
    assert float(out.rsplit(maxsplit=1)[-1]) > 0.99  # two runtimes in float
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (800, 1610)


def test_export_and_verify(nanosam_bundle: Path, photo: Path, tmp_path: Path) -> None:
    """The fixture has left the stages in the cache."""
    out = run("06_export_and_verify.py", "nanosam", "x86-fp32", photo, "seeded", cwd=tmp_path)
    said = "dist/nanosam-x86-fp32 passed (native), mean IoU "
    assert float(out.partition(said)[2].split()[0]) >= 0.999
    assert "warning: " in out  # seeded weights segment nothing


def test_bench(nanosam_bundle: Path) -> None:
    assert "nanosam-x86-fp32: encoder: " in run("07_bench.py", nanosam_bundle)


def test_evaluate(nanosam_bundle: Path, tmp_path: Path) -> None:
    folder = EXAMPLES.parent / "calibration/default"
    coco = json.loads((folder / "instances.json").read_text())
    few = {**coco, "images": coco["images"][:2]}
    ids = {image["id"] for image in few["images"]}
    few["annotations"] = [a for a in coco["annotations"] if a["image_id"] in ids]
    (tmp_path / "instances.json").write_text(json.dumps(few))
    for image in few["images"]:
        (tmp_path / image["file_name"]).symlink_to(folder / image["file_name"])
    out = run("08_evaluate.py", nanosam_bundle, tmp_path / "instances.json")
    assert "instances on 2 photos" in out
    assert "best_of_three" in out


def test_every_example_is_tested_and_listed() -> None:
    tests, readme = Path(__file__).read_text(), (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tests
        assert f"]({path.name})" in readme
