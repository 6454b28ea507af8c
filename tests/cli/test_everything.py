"""`edgekit predict --everything`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edgekit.records import mask_from_runs
from edgekit.records.run_lengths import RunLengths
from edgekit.runtime import opening
from edgekit.runtime.proposals import ProposalNetwork, write_proposals
from edgekit.runtime.proposals.network import CHANNELS, SHAPES

EVERYTHING = "--everything"


@pytest.fixture
def quarters(monkeypatch):
    """The decoder answers a point with the quarter of the photo that holds it, and half of that."""

    class Quarters:
        def run(self, feeds):
            if "image" in feeds:
                return {
                    "image_embeddings": np.zeros((1, 256, 64, 64), np.float32),
                    "photo_upscaled": np.zeros((1, 64 * 64, CHANNELS), np.float32),
                }
            batch = len(feeds["point_coords"])
            low_res = np.full((batch, 4, 256, 256), -9, np.float32)
            for index, (x, y) in enumerate(feeds["point_coords"][:, 0] / 4):
                left, top = int(x >= 128) * 128, int(y >= 96) * 96
                low_res[index, :, top : top + 96, left : left + 128] = 9
                low_res[index, 2, top : top + 96, left : left + 64] = -9
            scores = np.float32([[0.9, 0.95, 0.9, 0.1]]).repeat(batch, axis=0)
            return {"low_res_masks": low_res, "iou_predictions": scores}

    monkeypatch.setattr(opening, "open_artifact", lambda *_, **__: Quarters())


def test_all_objects_are_told_and_drawn(run, bundle, photo, quarters, tmp_path):
    picture, masks = tmp_path / "all.png", tmp_path / "masks"
    asked = (EVERYTHING, "--grid", "4", "--json", "--out", picture, "--masks", masks)
    result = run("predict", bundle, photo, *asked)
    told = json.loads(result.stdout)
    assert (told["photo"], told["size"], told["strategy"]) == (str(photo), [120, 160], "grid")
    assert (told["parameters"]["grid"], told["parameters"]["predicted_iou"]) == (4, 0.88)
    assert told["seconds"] >= 0
    assert [each["area"] for each in told["segments"]] == [80 * 60] * 4 + [40 * 60] * 4
    first = told["segments"][0]
    assert (first["box"], first["stability"], first["point"]) == ([0, 0, 79, 59], 1, [20, 15])
    assert first["predicted_iou"] == pytest.approx(0.95)
    runs = RunLengths(size=tuple(first["rle"]["size"]), counts=first["rle"]["counts"])
    mask = mask_from_runs(runs, 120, 160)
    assert np.array_equal(mask, np.asarray(Image.open(first["file"])) == 255)
    drawn = np.asarray(Image.open(picture))
    assert len({tuple(drawn[y, x]) for y in (30, 90) for x in (20, 60, 100, 140)}) == 8


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ((), 8),
        (("--strategy", "hierarchical"), 8),
        (("--grid", "1"), 2),
        (("--crops", "1"), 8),
        (("--min-area", "10"), 8),
    ],
)
def test_counts(run, bundle, photo, quarters, asked, count):
    shown = run("predict", bundle, photo, EVERYTHING, "--grid", "4", *asked)
    assert f"{count} objects in" in shown.stdout
    assert "segment:" in shown.stderr


def test_many_objects_are_not_all_listed(run, bundle, photo, quarters, monkeypatch):
    monkeypatch.setattr("edgekit.cli.everything.MOST_LISTED", 1)
    shown = run("predict", bundle, photo, EVERYTHING, "--grid", "4").stdout
    assert "--json prints every one" in shown
    assert "0.900" not in shown


def test_no_object_is_a_result(run, bundle, photo, left_half, tmp_path):
    picture = tmp_path / "none.png"
    shown = run("predict", bundle, photo, EVERYTHING, "--grid", "2", "--out", picture)
    assert (shown.exit_code, "0 objects" in shown.stdout) == (0, True)
    assert np.array_equal(np.asarray(Image.open(picture)), np.full((120, 160, 3), 90))
    told = json.loads(run("predict", bundle, photo, EVERYTHING, "--grid", "2", "--json").stdout)
    assert told["segments"] == []


def test_boxes_of_a_file(run, bundle, photo, quarters, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[[2, 2, 70, 50], [90, 70, 150, 110]]")
    told = json.loads(run("predict", bundle, photo, EVERYTHING, "--boxes", boxes, "--json").stdout)
    assert told["strategy"] == "boxes"
    assert [each["prompt_box"] for each in told["segments"]] == [[2, 2, 70, 50], [90, 70, 150, 110]]


def test_boxes_of_a_detector(run, bundle, detector, photo, monkeypatch):
    class Both:
        def run(self, feeds):
            if "image" not in feeds:
                batch = len(feeds["point_coords"])
                return {
                    "low_res_masks": np.full((batch, 4, 256, 256), 9, np.float32),
                    "iou_predictions": np.ones((batch, 4), np.float32),
                }
            boxes = [[256, 768], [512, 512], [512, 512], [768, 768]]
            return {
                "image_embeddings": np.zeros((1, 256, 64, 64), np.float32),
                "boxes": np.array([boxes], np.float32),
                "scores": np.array([[[0.8, 0.9]]], np.float32),
                "coefficients": np.ones((1, 32, 2), np.float32),
                "prototypes": np.ones((1, 32, 256, 256), np.float32),
            }

    monkeypatch.setattr(opening, "open_artifact", lambda *_, **__: Both())
    asked = (EVERYTHING, "--strategy", "boxes", "--detector", detector, "--json")
    told = json.loads(run("predict", bundle, photo, *asked).stdout)
    assert [each["prompt_box"] for each in told["segments"]] == [[80, 0, 160, 120], [0, 0, 80, 120]]


def network_file(folder, *, seed):
    """The file of a network that is equally sure of every cell, for the weights of a seed."""
    tensors = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    network = ProposalNetwork(model="nanosam", weights=(f"seed {seed}",), tensors=tensors)
    path = folder / f"proposals-{seed}.json"
    write_proposals(path, network, licence="none")
    return path


@pytest.mark.parametrize(("asked", "count"), [((), 64), (("--most-points", "1"), 1)])
@pytest.mark.usefixtures("quarters")
def test_points_of_a_proposal_network(run, bundle, photo, tmp_path, asked, count):
    file = network_file(tmp_path, seed=0)
    result = run("predict", bundle, photo, EVERYTHING, "--proposals", file, "--json", *asked)
    told = json.loads(result.stdout)
    assert (told["strategy"], told["parameters"]["points"]) == ("proposed", count)
    assert told["segments"][0]["point"] == [1.25, 1.25]  # the middle of 2.5 photo pixels


def test_a_network_of_other_weights_is_refused(run, bundle, photo, quarters, tmp_path):
    file = network_file(tmp_path, seed=1)
    result = run("predict", bundle, photo, EVERYTHING, "--proposals", file)
    assert result.exit_code == 2
    assert "of nanosam with other weights" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((EVERYTHING, "--strategy", "proposed"), "needs a proposal network"),
        ((EVERYTHING, "--proposals", "none.json"), "none.json cannot be read"),
        ((EVERYTHING, "--proposals", "p", "--strategy", "grid"), "'grid' takes no proposals"),
        ((EVERYTHING, "--proposals", "p", "--most-points", "0"), "1 to 1024"),
        ((EVERYTHING, "--most-points", "9"), "--proposals FILE, or --grid N"),
        (("--proposals", "p"), "--proposals together with --everything"),
        ((EVERYTHING, "--grid", "0"), "grid of points a side cannot be 0"),
        ((EVERYTHING, "--grid", "1000"), "1 to 256"),
        ((EVERYTHING, "--crops", "9"), "0 to 3"),
        ((EVERYTHING, "--min-area", "-1"), "at least 0"),
        ((EVERYTHING, "--point", "9,9"), "either --point or --everything"),
        ((EVERYTHING, "--box", "1,1,9,9"), "either --box or --everything"),
        ((EVERYTHING, "--multimask"), "either --multimask or --everything"),
        ((EVERYTHING, "--strategy", "boxes"), "needs boxes"),
        ((EVERYTHING, "--strategy", "random"), "random"),
        ((EVERYTHING, "--strategy", "grid", "--boxes", "BOXES"), "'grid' takes no boxes"),
        ((EVERYTHING, "--boxes", "BOXES", "--grid", "4"), "the strategy is 'boxes'"),
        ((EVERYTHING, "--proposals", "p", "--grid", "4"), "the strategy is 'proposed'"),
        ((EVERYTHING, "--boxes", "BOXES", "--detector", "BUNDLE"), "one of the two"),
        ((EVERYTHING, "--boxes", "BOXES"), "BOXES cannot be read"),
        ((EVERYTHING, "--detector", "BUNDLE"), "detects no boxes"),
        (("--grid", "4"), "--grid together with --everything"),
        (("--strategy", "grid", "--point", "9,9"), "--strategy together with --everything"),
        ((), "or --everything"),
    ],
)
def test_bad_input(run, bundle, photo, left_half, asked, words):
    named = [str(bundle) if part == "BUNDLE" else part for part in asked]
    result = run("predict", bundle, photo, *named)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize("option", [("--grid", "4"), ("--strategy", "hierarchical")])
def test_a_detector_takes_no_options(run, detector, photo, two_halves, option):
    result = run("predict", detector, photo, EVERYTHING, *option)
    assert result.exit_code == 2
    assert f"{option[0]} has no meaning" in result.stderr
