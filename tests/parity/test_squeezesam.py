"""SqueezeSAM against upstream's numbers: the drawn prompts, the U-Net, scores and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.records import WeightsSource
from edgekit.runtime import Predictor, Prompt
from edgekit.runtime.decoder_feeds import decoder_feeds
from edgekit.runtime.drawn_prompts import drawn_image
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from tests.parity.oracles import FOLDER, read_oracle, require_close, sampled, tolerance_of

torch = pytest.importorskip("torch", reason="the network is a PyTorch module (extra `export`)")

ROW = registry.model("squeezesam")
LEVELS = 9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "squeezesam.json").is_file(),
        reason=f"no oracle of SqueezeSAM in {FOLDER}; set EDGEKIT_ORACLES",
    ),
]


@dataclass(frozen=True)
class Oracle:
    """The oracle, our network with its weights, and the photo."""

    facts: dict
    arrays: dict[str, np.ndarray]
    network: torch.nn.Module
    predictor: Predictor
    photo: np.ndarray

    @property
    def tolerance(self) -> float:
        return tolerance_of(self.facts)

    def prompt(self, key: str) -> Prompt:
        """Without background points, which upstream ignores and edgekit refuses."""
        facts = self.facts["prompts"][key]
        labels = np.array(facts.get("labels", []))
        points = np.array(facts.get("points", [])).reshape(-1, 2)[labels == 1]
        return Prompt.checked(points=points, labels=labels[labels == 1], box=facts.get("box"))

    def image(self, key: str) -> np.ndarray:
        client = ROW.client
        feeds = decoder_feeds([self.prompt(key)], self.photo.shape[:2], client)
        photo = encoder_input(self.photo, client.preprocessing)
        coords, labels = feeds["point_coords"][0], feeds["point_labels"][0]
        return drawn_image(photo, coords, labels, rule=client.drawing)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    facts, arrays = read_oracle("squeezesam")
    split = load(ROW, WeightsSource(kind="seeded", licence="none", seed=facts["seed"]))
    predictor = Predictor.from_sessions(ROW.client, *reference_sessions(split))
    photo = load_photo(FOLDER / facts["photo"])
    predictor.set_image(photo)
    return Oracle(facts, arrays, split.encoder, predictor, photo)


def test_photo_and_drawn_prompt_equal_upstreams(oracle: Oracle) -> None:
    image = oracle.image("p1")
    assert image.shape == tuple(oracle.arrays["input.shape"])
    require_close(sampled(image, "input"), oracle.arrays["input.sample"], oracle.tolerance)
    assert image.mean() == pytest.approx(oracle.arrays["input.stats"][0], rel=1e-5)


@pytest.fixture(scope="module")
def maps(oracle: Oracle) -> list[np.ndarray]:
    with torch.inference_mode():
        patches = oracle.network.patch_embed(torch.from_numpy(oracle.image("p1")))
        return [each.numpy() for each in (patches, *oracle.network.unet_encoder(patches))]


@pytest.mark.parametrize("level", range(LEVELS))
def test_maps_of_the_unet_equal_upstreams(
    oracle: Oracle, maps: list[np.ndarray], level: int
) -> None:
    ours, name = maps[level], f"embed.unet{level}"
    assert ours.shape == tuple(oracle.arrays[f"{name}.shape"])
    require_close(sampled(ours, name), oracle.arrays[f"{name}.sample"], oracle.tolerance)


@pytest.mark.parametrize("key", ["p1", "p2", "p3"])
def test_masks_and_scores_equal_upstreams(oracle: Oracle, key: str) -> None:
    prediction = oracle.predictor.predict_many([oracle.prompt(key)], multimask=True)[0]
    kept, arrays = oracle.facts["kept_masks"][key], oracle.arrays
    logits = prediction.low_res_logits[kept]
    theirs = arrays[f"{key}.low_res.sample"]
    require_close(sampled(logits, f"{key}.low_res", 1024), theirs, oracle.tolerance)
    whole = arrays[f"{key}.low_res"] * arrays[f"{key}.low_res.step"]
    rounding = arrays[f"{key}.low_res.step"] / 2
    assert np.abs(logits - whole).max() <= oracle.tolerance * np.abs(whole).max() + rounding
    assert np.abs(prediction.scores - arrays[f"{key}.iou"]).max() <= oracle.tolerance * 10
    shape = tuple(arrays[f"{key}.mask.shape"])
    masks = np.unpackbits(arrays[f"{key}.mask"])[: int(np.prod(shape))].reshape(shape)
    known = oracle.facts["tolerance"]["measured_float32_vs_float64"]["mask_pixels_flipped"][key]
    assert (prediction.masks[kept] != masks.astype(bool)).sum() <= known + 2


def test_one_mask_is_the_best_of_three(oracle: Oracle) -> None:
    prediction = oracle.predictor.predict_many([oracle.prompt("p3")])[0]
    assert prediction.scores == [pytest.approx(oracle.arrays["p3.iou"].max(), abs=1e-4)]
