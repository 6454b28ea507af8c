"""The results of SAM's and TinySAM's own generators on a synthetic decoder, if they are there.

../shared/oracles has the decoder (synthetic.py, NumPy only) and eight cases. A further oracle of
another seed and photo is tested too if EDGEKIT_EVERYTHING_ORACLE names its JSON.
"""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import EverythingRule, Feeds, FloatArray, Segment, Strategy
from edgekit.records.run_lengths import unpack
from edgekit.runtime import Predictor
from edgekit.runtime.everything.crops import crops_with_grids

ORACLES = Path(__file__).resolve().parents[4] / "shared" / "oracles"
NAMES = {
    "points_per_side": "grid",
    "pred_iou_thresh": "predicted_iou",
    "stability_score_thresh": "stability",
    "box_nms_thresh": "overlap",
    "crop_n_layers": "crops",
    "crop_n_points_downscale_factor": "crop_grid_divisor",
    "min_mask_region_area": "min_area",
}


def oracle_files() -> list[Path]:
    named = os.environ.get("EDGEKIT_EVERYTHING_ORACLE")
    files = sorted((ORACLES / "techniques").glob("amg_synthetic*.json"))
    return [*files, Path(named)] if named else files


def cases() -> Iterator[Any]:
    for file in oracle_files():
        for name in json.loads(file.read_text())["cases"]:
            yield pytest.param(file, name, id=f"{file.stem}-{name}")


CASES = list(cases()) or [
    pytest.param(None, "", marks=pytest.mark.skip(reason=f"{ORACLES} is not there"))
]


class SyntheticSessions:
    """Encoder and decoder in one: the crop that was encoded last is the one decoded."""

    def __init__(self, scene: Any, size: tuple[int, int], crops: list[Any]) -> None:
        self.scene, self.size, self.crops = scene, size, iter(crops)
        self.crop = crops[0]
        self.points: list[tuple[float, float]] = []

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        if "image" in feeds:
            self.crop = next(self.crops)
            return {"image_embeddings": np.zeros((1, 1, 1, 1), np.float32)}
        points = [self.on_photo(place) for place in feeds["point_coords"][:, 0]]
        self.points += points
        whole = self.crop == (0, 0, *self.size[::-1])
        decoded = [self.scene.decode(p, None if whole else self.crop) for p in points]
        low_res = np.stack([np.concatenate([masks[:1], masks]) for masks, _ in decoded])
        scores = np.stack([np.concatenate([ious[:1], ious]) for _, ious in decoded])
        return {"low_res_masks": low_res, "iou_predictions": scores}

    def on_photo(self, place: FloatArray) -> tuple[float, float]:
        """A point of the frame in photo pixels. They are multiples of 1/1024 in every case."""
        x0, y0, x1, y1 = self.crop
        sides = np.array([x1 - x0, y1 - y0])
        resized = np.floor(sides * (1024 / sides.max()) + 0.5)
        x, y = np.round(place.astype(np.float64) * sides / resized * 1024) / 1024
        return x + x0, y + y0


def everything_of(
    document: dict[str, Any], name: str
) -> tuple[list[Segment], list[tuple[float, float]]]:
    """The segments, and the points that were decoded for them."""
    config = document["cases"][name]["config"]
    numbers = {NAMES[key]: value for key, value in config.items() if key in NAMES}
    rule = EverythingRule(**numbers)
    size = tuple(document["photo_hw"])
    sessions = SyntheticSessions(
        runpy.run_path(str(ORACLES / "synthetic.py"))["Scene"](document["seed"], size),
        size,
        [crop for crop, _ in crops_with_grids(size, rule)],
    )
    predictor = Predictor.from_sessions(replace(SAM_CLIENT, everything=rule), sessions, sessions)
    predictor.set_image(np.zeros((*size, 3), np.uint8))
    strategy: Strategy = "hierarchical" if name.startswith("tinysam") else "grid"
    return predictor.everything(strategy), sessions.points


@pytest.mark.slow
@pytest.mark.parametrize(("file", "name"), CASES)
def test_upstreams_result(file: Path, name: str) -> None:
    document = json.loads(file.read_text())
    arrays = {
        key.removeprefix(f"{name}."): value
        for key, value in np.load(file.with_suffix(".npz")).items()
        if key.startswith(f"{name}.")
    }
    segments, points = everything_of(document, name)
    assert 3 * len(points) == document["cases"][name]["candidates"]
    if "pass2_points" in arrays:
        both_rounds = np.concatenate([arrays["pass1_points"], arrays["pass2_points"]])
        np.testing.assert_allclose(points, both_rounds, rtol=1e-12)
    assert len(segments) == len(arrays["kept"])
    np.testing.assert_allclose([each.point for each in segments], arrays["point"], rtol=1e-12)
    assert np.array_equal([each.box for each in segments], arrays["bbox"])
    assert np.array_equal(
        np.array([each.predicted_iou for each in segments], np.float32), arrays["iou"]
    )
    assert np.abs([each.stability for each in segments] - arrays["stability"]).max() <= 1e-4
    assert np.abs([each.area for each in segments] - arrays["area"]).max() <= 2
    if "crop_box" in arrays:
        assert np.array_equal([each.crop_box for each in segments], arrays["crop_box"])
    lengths = np.split(arrays["rle.counts"], np.cumsum(arrays["rle.length"])[:-1])
    for segment, expected in zip(segments, lengths, strict=True):
        assert different_pixels(unpack(segment.rle["counts"]), expected.tolist()) <= 2


def different_pixels(counts: list[int], others: list[int]) -> int:
    masks = [np.repeat(np.arange(len(each)) % 2 == 1, each) for each in (counts, others)]
    return int(np.count_nonzero(masks[0] != masks[1]))
