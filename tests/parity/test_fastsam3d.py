"""FastSAM3D against upstream's numbers: the network, preprocessing and a click's mask.

The oracle is in the folder that `EDGEKIT_ORACLES` names, and `synthetic.py`, which makes its
volume, in the folder above.
"""

from __future__ import annotations

import functools
import runpy
from dataclasses import dataclass

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.models.families.fastsam3d import CLIENT
from edgekit.records import Session, WeightsSource
from edgekit.runtime import VolumePredictor
from edgekit.runtime.volume_predictor import voxels_inside
from tests.parity.oracles import FOLDER, read_oracle, require_close, sampled, tolerance_of

pytest.importorskip("torch", reason="the network is a PyTorch module (extra `export`)")

NAME = "fastsam3d_student"
PROMPTS = ("p1", "p2", "p3", "p4", "p5")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / f"{NAME}.npz").is_file(), reason=f"no {NAME} in {FOLDER}"),
]


@dataclass(frozen=True)
class Oracle:
    """The oracle, its volume after normalisation, and our network with its features.

    `places` are the positions of the image tokens. `predictor` has the volume.
    """

    facts: dict
    arrays: dict[str, np.ndarray]
    image: np.ndarray
    features: dict[str, np.ndarray]
    decoder: Session
    predictor: VolumePredictor
    places: np.ndarray

    def close(self, ours: np.ndarray, tag: str, count: int = 4096) -> None:
        theirs = self.arrays[f"{tag}.sample"]
        require_close(sampled(ours, tag, count), theirs, tolerance_of(self.facts))

    def may_flip(self, key: str) -> int:
        """Voxels that rounding may move over the threshold."""
        flipped = self.facts["tolerance"]["measured_float32_vs_float64"]["mask_voxels_flipped"]
        return 5 * max(flipped[key], 1)


@functools.cache
def load() -> Oracle:
    from edgekit.models.checkpoints.fit import load as load_model
    from edgekit.models.reference import reference_sessions
    from edgekit.runtime.volume_input import volume_input

    facts, arrays = read_oracle(NAME)
    row = registry.model("fastsam3d")
    source = WeightsSource(kind="seeded", licence="none", seed=facts["seed"])
    split = load_model(row, source)
    volume = runpy.run_path(str(FOLDER.parent / "synthetic.py"))["volume"](facts["seed"])
    image = volume_input(volume, CLIENT.preprocessing)
    encoder, decoder = reference_sessions(split)
    predictor = VolumePredictor.from_sessions(CLIENT, encoder, decoder)
    predictor.set_volume(volume)
    features = encoder.run({"image": image})
    assert split.decoder is not None
    places = split.decoder.prompt_encoder.image_positions().transpose(1, 2).numpy()
    return Oracle(facts, arrays, image, features, decoder, predictor, places)


def decoded(key: str) -> tuple[np.ndarray, np.ndarray]:
    """The masks [n, 32, 32, 32] of one prompt that upstream returns, and their scores [n]."""
    oracle = load()
    prompt = oracle.facts["prompts"][key]
    side = oracle.arrays["p1.low_res"].shape[-1]
    mask = np.zeros((1, 1, side, side, side), np.float32)
    if prompt["mask"] == "p1":
        mask[0] = oracle.arrays["p1.low_res"] * oracle.arrays["p1.low_res.step"]
    feeds = {
        "point_coords": np.array([[*prompt["points"], [0, 0, 0]]], np.float32),
        "point_labels": np.array([[*prompt["labels"], -1]], np.float32),
        "mask_input": mask,
        "has_mask_input": np.array([prompt["mask"] is not None], np.float32),
    }
    result = oracle.decoder.run({**oracle.features, **feeds})
    kept = slice(1, 4) if prompt["multimask"] else slice(0, 1)
    return result["low_res_masks"][0, kept], result["iou_predictions"][0, kept]


def test_the_normalised_volume_equals_upstreams() -> None:
    load().close(load().image, "input")


def test_features_and_positions_equal_upstreams() -> None:
    oracle = load()
    oracle.close(oracle.features["image_embeddings"], "embed.image_embed")
    oracle.close(oracle.places, "embed.dense_pe")


@pytest.mark.parametrize("key", PROMPTS)
def test_logits_scores_and_voxels_equal_upstreams(key: str) -> None:
    oracle = load()
    low_res, scores = decoded(key)
    oracle.close(low_res, f"{key}.low_res", 1024)
    assert np.abs(scores - oracle.arrays[f"{key}.iou"]).max() <= 1e-4
    counts = voxels_inside(low_res, CLIENT).sum(axis=(1, 2, 3))
    assert np.abs(counts - oracle.arrays[f"{key}.mask.count"]).max() <= oracle.may_flip(key)


def test_a_first_click_gives_upstreams_mask() -> None:
    oracle = load()
    prompt = oracle.facts["prompts"]["p1"]
    ours = oracle.predictor.predict(prompt["points"], prompt["labels"]).masks
    shape = tuple(oracle.arrays["p1.mask.shape"])
    theirs = np.unpackbits(oracle.arrays["p1.mask"])[: ours.size].reshape(shape).astype(bool)
    assert (ours != theirs).sum() <= oracle.may_flip("p1")
