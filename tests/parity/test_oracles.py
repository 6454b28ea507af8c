"""Every oracle in `EDGEKIT_ORACLES`: our models and pre/postprocessing against upstream's numbers.

An oracle is NAME.json and NAME.npz (see the README beside them): what upstream code computed from
seeded weights. One test per stage and prompt, so that a failure says where it begins. An oracle of
a family that edgekit does not have yet is reported as skipped, by name, never as passed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.records import INPUT_NAMES, OUTPUT_NAMES, ModelRow, Role, WeightsSource

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EDGEKIT_ORACLES", ROOT.parent / "shared" / "oracles" / "public"))
NAMES = sorted(path.stem for path in FOLDER.glob("*.json")) if FOLDER.is_dir() else []
# Upstream's names of variants to ours; anything else must have the same name.
MODEL_OF = {"nanosam_resnet18": "nanosam", "mobilesam_vit_t": "mobilesam"}
HAVE = {row.name for row in registry.models()}
KNOWN = [name for name in NAMES if MODEL_OF.get(name, name) in HAVE]
UNKNOWN = [name for name in NAMES if name not in KNOWN]
PROMPTS = ("p1", "p2", "p3", "p4", "p5", "p6")

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True)
class Oracle:
    """One oracle with our model run on it."""

    facts: dict
    arrays: dict[str, np.ndarray]
    row: ModelRow
    photo: np.ndarray
    image: np.ndarray
    embeddings: np.ndarray
    decoder: object

    @property
    def tolerance(self) -> float:
        return float(self.facts["tolerance"]["suggested_relative_to_max"])


def sample_indices(tag: str, size: int, count: int = 4096) -> np.ndarray:
    """The fixed flat positions at which an oracle holds a large array (oracles/README.md)."""
    if size <= count:
        return np.arange(size)
    start = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "little") % size
    return (start + np.arange(count, dtype=np.int64) * 2654435761) % size


@functools.lru_cache(maxsize=1)
def load(name: str) -> Oracle:
    from edgekit.models.checkpoints.fit import load as load_model
    from edgekit.models.reference import reference_sessions
    from edgekit.runtime.photo import load_photo
    from edgekit.runtime.preprocess import encoder_input

    facts = json.loads((FOLDER / f"{name}.json").read_text())
    row = registry.model(MODEL_OF.get(name, name))
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    source = WeightsSource(kind="seeded", licence="none", seed=facts["seed"])
    encoder, decoder = reference_sessions(load_model(row, source))
    photo = load_photo(FOLDER / facts["photo"])
    image = encoder_input(photo, row.client.preprocessing)
    embeddings = encoder.run({"image": image})["image_embeddings"]
    return Oracle(facts, arrays, row, photo, image, embeddings, decoder)


@pytest.fixture(params=KNOWN or [None])
def oracle(request: pytest.FixtureRequest) -> Oracle:
    if request.param is None:
        pytest.skip(f"no oracle of a family edgekit has in {FOLDER}; set EDGEKIT_ORACLES")
    return load(request.param)


@pytest.mark.parametrize("name", UNKNOWN)
def test_families_that_are_not_there_yet(name: str) -> None:
    pytest.skip(f"edgekit has no model for the oracle {name} yet")


def close(ours: np.ndarray, theirs: np.ndarray, oracle: Oracle) -> None:
    gap = np.abs(ours.astype(np.float64) - theirs).max() / np.abs(theirs).max()
    assert gap <= oracle.tolerance, f"{gap:.2e} of the maximum; allowed {oracle.tolerance:.0e}"


def sampled(array: np.ndarray, tag: str, count: int = 4096) -> np.ndarray:
    return array.reshape(-1)[sample_indices(tag, array.size, count)]


def test_preprocessed_photo_equals_upstreams(oracle: Oracle) -> None:
    rule = oracle.row.client.preprocessing
    assert tuple(oracle.arrays["input.shape"]) == oracle.image.shape
    level = 1 / min(rule.std)  # one grey level of 255: JPEG decoders may differ by that much
    gap = np.abs(sampled(oracle.image, "input") - oracle.arrays["input.sample"]).max()
    assert gap <= level


def test_embeddings_equal_upstreams(oracle: Oracle) -> None:
    ours = sampled(oracle.embeddings, "embed.image_embed")
    close(ours, oracle.arrays["embed.image_embed.sample"], oracle)


def feeds(oracle: Oracle, key: str) -> dict[str, np.ndarray]:
    from edgekit.runtime.prompts import Prompt, decoder_feeds

    facts = oracle.facts["prompts"][key]
    earlier = None
    if "mask_input" in facts:
        source = facts["mask_input"]
        step = oracle.arrays[f"{source}.low_res.step"]
        earlier = oracle.arrays[f"{source}.low_res"].reshape(-1, 256, 256)[0] * np.float32(step)
    prompt = Prompt.checked(
        points=facts.get("points"),
        labels=facts.get("labels"),
        box=facts.get("box"),
        mask=earlier,
        photo_size=oracle.photo.shape[:2],
    )
    return decoder_feeds([prompt], oracle.photo.shape[:2], oracle.row.client, slots=None)


@pytest.mark.parametrize("key", PROMPTS)
def test_logits_scores_and_masks_equal_upstreams(oracle: Oracle, key: str) -> None:
    from edgekit.runtime.postprocess import upscale_logits

    if key not in oracle.facts["prompts"]:
        pytest.skip(f"{oracle.facts['name']} has no prompt {key}")
    result = oracle.decoder.run({"image_embeddings": oracle.embeddings, **feeds(oracle, key)})
    masks = oracle.row.client.masks
    returned = list(masks.multimask)
    if len(oracle.arrays[f"{key}.iou"]) == 1:
        returned = [masks.single]
    scores = result["iou_predictions"][0, returned]
    logits = result["low_res_masks"][0, returned][oracle.facts["kept_masks"][key]]

    close(sampled(logits, f"{key}.low_res", 1024), oracle.arrays[f"{key}.low_res.sample"], oracle)
    worst = max(oracle.facts["tolerance"]["measured_float32_vs_float64"]["iou_abs"].values())
    assert np.abs(scores - oracle.arrays[f"{key}.iou"]).max() <= max(1e-4, 5 * worst)

    upscaled = upscale_logits(logits, oracle.photo.shape[:2], oracle.row.client)
    shape = tuple(oracle.arrays[f"{key}.mask.shape"])
    bits = np.unpackbits(oracle.arrays[f"{key}.mask"])[: int(np.prod(shape))]
    differ = (upscaled > masks.threshold) != bits.reshape(shape).astype(bool)
    near = np.abs(upscaled) <= oracle.tolerance * float(
        oracle.arrays[f"{key}.low_res.maxabs"].max()
    )
    assert not (differ & ~near).any(), f"{(differ & ~near).sum()} pixels differ beyond tolerance"


def test_seeded_weights_are_the_oracles(oracle: Oracle) -> None:
    """If this fails the random numbers differ, not the model."""
    from edgekit.models.seeded import seeded_tensor

    specs = FOLDER.parent / "specs"
    if not specs.is_dir():
        pytest.skip(f"no tensor specs in {specs}")
    weights: dict[str, np.ndarray] = {}
    for name, prefixes in (entry.partition("#")[::2] for entry in oracle.facts["spec"]):
        for key, shape, dtype in json.loads((specs / f"{name}.json").read_text())["state_dict"]:
            if prefixes and not key.startswith(tuple(prefixes.split(","))):
                continue
            if dtype.startswith("float"):
                weights[key] = seeded_tensor(key, tuple(shape), oracle.facts["seed"])
            else:
                weights[key] = np.ones(shape, np.int64)
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode() + b"\0" + weights[key].reshape(-1)[:64].tobytes())
    assert digest.hexdigest() == oracle.facts["weights_fingerprint"]


def test_names_of_the_graph_contract() -> None:
    """The contract that clients and oracles rely on; changing it breaks every bundle."""
    assert INPUT_NAMES[Role.ENCODER] == ("image",)
    assert OUTPUT_NAMES[Role.DECODER] == ("low_res_masks", "iou_predictions")
