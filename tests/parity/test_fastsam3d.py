"""FastSAM3D's network against upstream's numbers.

The oracle is in the folder that `EDGEKIT_ORACLES` names, and `synthetic.py`, which makes its
volume, in the folder above.
"""

from __future__ import annotations

import functools
import json
import os
import runpy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_oracles import sampled

torch = pytest.importorskip("torch", reason="the network is a PyTorch module (extra `export`)")

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EDGEKIT_ORACLES", ROOT.parent / "shared" / "oracles" / "public"))
FACTS = FOLDER / "fastsam3d_student.json"
PROMPTS = ("p1", "p2", "p3", "p4", "p5")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FACTS.is_file(), reason=f"no {FACTS}; set EDGEKIT_ORACLES"),
]


@dataclass(frozen=True)
class Oracle:
    """The oracle, its volume after normalisation, and our network with its features."""

    facts: dict
    arrays: dict[str, np.ndarray]
    image: np.ndarray
    features: torch.Tensor
    decoder: torch.nn.Module

    def close(self, ours: np.ndarray, tag: str, count: int = 4096) -> None:
        theirs = self.arrays[f"{tag}.sample"]
        gap = np.abs(sampled(ours, tag, count) - theirs).max() / np.abs(theirs).max()
        assert gap <= self.facts["tolerance"]["suggested_relative_to_max"], gap


@functools.cache
def load() -> Oracle:
    from edgekit.models.encoders.fastsam3d_vit import FastSam3dEncoder
    from edgekit.models.sam.volume_decoder import VolumeDecoder
    from edgekit.models.seeded import seeded_tensor

    facts = json.loads(FACTS.read_text())
    with np.load(FACTS.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = dict(file)
    encoder, decoder = FastSam3dEncoder().eval(), VolumeDecoder().eval()
    for module in (encoder, decoder):
        for name, tensor in module.state_dict().items():
            values = seeded_tensor(name, tuple(tensor.shape), facts["seed"])
            tensor.copy_(torch.from_numpy(values))
    volume = runpy.run_path(str(FOLDER.parent / "synthetic.py"))["volume"](facts["seed"])
    tissue = volume[volume > 0].astype(np.float64)
    image = ((volume - tissue.mean()) / tissue.std(ddof=1)).astype(np.float32)[None, None]
    with torch.inference_mode():
        features = encoder(torch.from_numpy(image))
    return Oracle(facts, arrays, image, features, decoder)


def decoded(key: str) -> tuple[np.ndarray, np.ndarray]:
    """The masks [n, 32, 32, 32] of one prompt that upstream returns, and their scores [n]."""
    oracle = load()
    prompt = oracle.facts["prompts"][key]
    side = oracle.arrays["p1.low_res"].shape[-1]
    mask = np.zeros((1, 1, side, side, side), np.float32)
    if prompt["mask"] == "p1":
        mask[0] = oracle.arrays["p1.low_res"] * oracle.arrays["p1.low_res.step"]
    feeds = (
        np.array([[*prompt["points"], [0, 0, 0]]], np.float32),
        np.array([[*prompt["labels"], -1]], np.float32),
        mask,
        np.array([prompt["mask"] is not None], np.float32),
    )
    with torch.inference_mode():
        low_res, scores = oracle.decoder(oracle.features, *map(torch.from_numpy, feeds))
    kept = slice(1, 4) if prompt["multimask"] else slice(0, 1)
    return low_res[0, kept].numpy(), scores[0, kept].numpy()


def test_the_normalised_volume_equals_upstreams() -> None:
    load().close(load().image, "input")


def test_features_and_positions_equal_upstreams() -> None:
    oracle = load()
    oracle.close(oracle.features.numpy(), "embed.image_embed")
    places = oracle.decoder.prompt_encoder.image_positions().transpose(1, 2)
    oracle.close(places.numpy(), "embed.dense_pe")


@pytest.mark.parametrize("key", PROMPTS)
def test_logits_scores_and_voxels_equal_upstreams(key: str) -> None:
    oracle = load()
    low_res, scores = decoded(key)
    oracle.close(low_res, f"{key}.low_res", 1024)
    assert np.abs(scores - oracle.arrays[f"{key}.iou"]).max() <= 1e-4
    side = oracle.image.shape[-1]
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(low_res)[None], (side, side, side), mode="trilinear"
    )
    counts = (whole[0] > 0).sum(dim=(1, 2, 3)).numpy()
    flipped = oracle.facts["tolerance"]["measured_float32_vs_float64"]["mask_voxels_flipped"][key]
    assert np.abs(counts - oracle.arrays[f"{key}.mask.count"]).max() <= 5 * max(flipped, 1)
