"""Golden vectors follow the family's own rules for a photo and its prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.models.families.fastsam import CLIENT as FASTSAM
from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.families.squeezesam import CLIENT as SQUEEZESAM
from edgekit.pack import write_golden
from edgekit.records import ClientContract, MaskChoice


class Encoder:
    def run(self, feeds):
        return {"image_embeddings": feeds["image"][:, :, :2, :2], "fine": feeds["image"][:, :1]}


class Decoder:
    """Mask 2 covers everything and scores highest; the others are empty."""

    def run(self, _feeds):
        level = np.array([-1, -1, 1, -1], np.float32)
        masks = np.broadcast_to(level[None, :, None, None], (1, 4, 256, 256))
        return {"low_res_masks": masks, "iou_predictions": level[None]}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), (90, 120, 30)).save(path)
    return path


def golden_of(folder: Path, photo: Path, client: ClientContract) -> tuple[dict, dict]:
    write_golden(folder, photo, client=client, sessions=(Encoder(), Decoder()))
    with np.load(folder / "golden" / "tensors.npz") as file:
        tensors = dict(file)
    return tensors, json.loads((folder / "golden" / "prompts.json").read_text())


def test_golden_holds_every_feature_and_the_chosen_mask(tmp_path: Path, photo: Path) -> None:
    best = MaskChoice(masks=(1, 2, 3), keep="best")
    client = replace(SAM_CLIENT, masks=replace(SAM_CLIENT.masks, single=best))
    tensors, guide = golden_of(tmp_path, photo, client)
    assert {"image", "image_embeddings", "fine"} <= tensors.keys()
    assert tensors["image_embeddings"].shape == (1, 1, 2, 2)  # every 16th channel
    assert sorted(guide["prompts"]) == ["box", "box_and_background", "point"]
    for name in guide["prompts"]:
        assert tensors[f"{name}.mask"].shape == (1, 30, 40)
        assert tensors[f"{name}.mask"].all()


class Network:
    """Two objects: the left half of the input, and its right half."""

    def run(self, _feeds):
        boxes = np.array([[[256, 768], [512, 512], [512, 512], [1024, 1024]]], np.float32)
        return {
            "boxes": boxes,
            "scores": np.array([[[0.9, 0.8]]], np.float32),
            "coefficients": np.ones((1, 32, 2), np.float32),
            "prototypes": np.ones((1, 32, 256, 256), np.float32),
        }


def test_golden_of_a_detector(tmp_path: Path, photo: Path) -> None:
    write_golden(tmp_path, photo, client=FASTSAM, sessions=(Network(),))
    guide = json.loads((tmp_path / "golden" / "prompts.json").read_text())
    with np.load(tmp_path / "golden" / "tensors.npz") as file:
        tensors = dict(file)
    assert sorted(guide["prompts"]) == ["box", "point", "point_and_background"]
    assert tensors["found.boxes"].tolist() == [[0, 0, 20, 30], [20, 0, 40, 30]]
    assert tensors["point.mask"].sum() == 30 * 20  # the centre lies in the right half
    assert tensors["point.mask"][0, :, 20:].all()
    assert tensors["point_and_background.mask"].sum() == 30 * 20
    assert {"boxes", "scores", "coefficients", "prototypes"} <= tensors.keys()


class Drawn:
    """A graph that returns the drawn box as mask 0, and the drawn points as masks 1 and 2."""

    def run(self, feeds):
        box, points = feeds["image"][:, 3:4, ::2, ::2], feeds["image"][:, 4:, ::2, ::2]
        masks = np.concatenate([box, points, points], axis=1) - np.float32(0.5)
        return {"low_res_masks": masks, "iou_predictions": np.array([[0.9, 0.5, 0.1]], np.float32)}


def test_golden_of_drawn_prompts(tmp_path: Path, photo: Path) -> None:
    write_golden(tmp_path, photo, client=SQUEEZESAM, sessions=(Drawn(),))
    guide = json.loads((tmp_path / "golden" / "prompts.json").read_text())
    with np.load(tmp_path / "golden" / "tensors.npz") as file:
        tensors = dict(file)
    assert sorted(guide["prompts"]) == ["box", "point"]
    assert tensors["image"].shape == (1, 3, 512, 512)
    assert tensors["box.drawn"].shape == (1, 2, 512, 512)
    assert tensors["point.drawn"][0, 0].all()
    assert not tensors["box.drawn"][0, 1].any()
    x0, y0, x1, y1 = guide["prompts"]["box"]["box"]
    assert tensors["box.mask"].sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.1)


def test_refused_prompts_are_left_out(tmp_path: Path, photo: Path) -> None:
    prompts = replace(SAM_CLIENT.prompts, refuses=("background_point", "mask"))
    tensors, guide = golden_of(tmp_path, photo, replace(SAM_CLIENT, prompts=prompts))
    assert sorted(guide["prompts"]) == ["box", "point"]
    assert not [name for name in tensors if name.startswith("box_and_background")]
    assert not tensors["point.mask"].any()
