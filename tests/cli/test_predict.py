"""What `predict` prints and writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def test_predict_draws_the_mask(run, bundle, photo, left_half, tmp_path):
    out = tmp_path / "mask.png"
    result = run("predict", bundle, photo, "--point", "20,20", "--point", "80,60,0", "--out", out)
    assert result.exit_code == 0
    assert "50.0%" in result.stdout
    pixels = np.asarray(Image.open(out)).astype(int)
    assert pixels.shape == (120, 160, 3)
    grey = (pixels == 90).all(axis=-1)
    assert grey[:, 120:].all()
    assert not grey[:, :70].any()


def test_predict_as_json(run, bundle, photo, left_half):
    arguments = ("predict", bundle, photo, "--box", "10,10,60,60", "--multimask", "--json")
    told = json.loads(run(*arguments).stdout)
    assert [mask["area_px"] for mask in told["masks"]] == [80 * 120] * 4
    assert told["masks"][0]["score"] == pytest.approx(0.9)
    assert told["picture"] is None


@pytest.mark.parametrize("option", [("--json", "{}.json"), ("--json={}.txt",)])
def test_json_goes_into_a_file_beside_the_table(run, bundle, photo, left_half, option):
    where = [part.format(photo.with_name("told")) for part in option]
    for arguments in ((*where, bundle, photo), (bundle, photo, *where)):
        result = run("predict", "--box", "10,10,60,60", *arguments)
        assert result.exit_code == 0, result.output
        assert "50.0%" in result.stdout
        (file,) = photo.parent.glob("told.*")
        assert len(json.loads(file.read_text())["masks"]) == 1
        file.unlink()


@pytest.mark.parametrize("where", [("--json",), ("--json", "-"), ("--json=-",)])
@pytest.mark.parametrize("command", ["models", "targets", "cache"])
def test_json_is_printed_where_no_file_follows(run, command, where):
    assert json.loads(run(command, *where).stdout)


def test_what_follows_json_and_is_no_json_file_is_an_argument(run, bundle):
    assert json.loads(run("inspect", "--json", bundle).stdout)["schema"]
    assert json.loads(run("models", "--json", "nanosam").stdout)["name"] == "nanosam"


def test_every_box_is_one_object(run, bundle, photo, left_half):
    boxes = ("--box", "10,10,60,60", "--box=-0.4,20,100,120.7", "--box", "70,5,90,30")
    told = json.loads(run("predict", bundle, photo, *boxes, "--json").stdout)
    assert [mask["prompt"] for mask in told["masks"]] == [0, 1, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own, of NumPy 2
def test_masks_in_json_are_coco_run_lengths(run, bundle, photo, left_half):
    told = json.loads(run("predict", bundle, photo, "--box", "10,10,60,60", "--json").stdout)
    rle = told["masks"][0]["rle"]
    decoded = pytest.importorskip("pycocotools.mask").decode(rle)
    assert decoded.shape == (120, 160)
    assert decoded[:, :80].all()
    assert not decoded[:, 80:].any()


def binary(path: Path) -> np.ndarray:
    image = Image.open(path)
    assert (image.mode, image.size) == ("L", (160, 120))
    pixels = np.asarray(image)
    assert set(np.unique(pixels)) == {0, 255}
    return pixels == 255


def test_masks_are_written_as_binary_pictures(run, bundle, photo, left_half, tmp_path):
    boxes = ("--box", "10,10,60,60", "--box", "20,10,60,60")
    command = ("predict", bundle, photo, *boxes, "--json", "--masks")
    for name, files in {
        "one.png": ["one.png", "one-1.png"],
        "masks": ["masks/mask-0.png", "masks/mask-1.png"],
    }.items():
        told = json.loads(run(*command, tmp_path / name).stdout)
        assert [mask["file"] for mask in told["masks"]] == [str(tmp_path / file) for file in files]
        for file in files:
            assert binary(tmp_path / file)[:, :80].all()
            assert not binary(tmp_path / file)[:, 80:].any()


def test_the_files_of_masks_are_named(run, bundle, photo, left_half, tmp_path):
    mask = tmp_path / "mask.png"
    shown = run("predict", bundle, photo, "--point", "9,9", "--masks", mask).stdout
    assert "Masks:" in shown
    assert "mask.png" in shown


def test_a_detector_answers_prompts_or_returns_everything(
    run, detector, photo, two_halves, tmp_path
):
    out = tmp_path / "all.png"
    told = json.loads(run("predict", detector, photo, "--json", "--out", out).stdout)
    assert [each["area"] for each in told["segments"]] == [80 * 120] * 2
    assert [each["predicted_iou"] for each in told["segments"]] == pytest.approx([0.9, 0.8])
    assert (told["strategy"], told["parameters"]) == (None, None)
    assert np.asarray(Image.open(out)).shape == (120, 160, 3)
    for prompt in (("--point", "120,60"), ("--box", "81,0,160,120")):
        told = json.loads(run("predict", detector, photo, *prompt, "--json").stdout)
        assert [mask["score"] for mask in told["masks"]] == pytest.approx([0.8])


def test_many_objects_are_not_all_listed(run, detector, photo, two_halves, monkeypatch):
    monkeypatch.setattr(sys.modules["edgekit.cli.commands.predict"], "MOST_LISTED", 1)
    result = run("predict", detector, photo, "--box", "1,1,9,9", "--box", "90,9,150,90")
    assert "2 masks in all" in result.stdout
    assert "0.800" not in result.stdout


def test_predict_prints_warnings(run, detector, photo, two_halves):
    result = run("predict", detector, photo, "--point", "20,20")
    assert "AGPL-3.0" in result.stderr
    assert "random weights" in result.stderr
