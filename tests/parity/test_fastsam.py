"""FastSAM against upstream's numbers: the network, preprocessing, suppression and prompts.

The oracles are in the folder that `EDGEKIT_ORACLES` names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgekit.models.families.fastsam import CLIENT
from edgekit.runtime import Prompt
from edgekit.runtime.detections import Masks, find_objects
from edgekit.runtime.detector_prompts import object_mask
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import Placement, encoder_input, placement
from tests.parity.oracles import FOLDER, read_oracle, require_close, sampled, tolerance_of

torch = pytest.importorskip("torch", reason="the network is a PyTorch module (extra `export`)")

NAMES = sorted(path.stem for path in FOLDER.glob("fastsam_*.json")) if FOLDER.is_dir() else []
RAW = {
    "raw_boxes": "boxes",
    "raw_score": "scores",
    "raw_coef": "coefficients",
    "proto": "prototypes",
}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Oracle:
    """An oracle, and our network's outputs for its photo."""

    facts: dict
    arrays: dict[str, np.ndarray]
    photo: np.ndarray
    place: Placement
    image: np.ndarray
    raw: dict[str, np.ndarray]

    @property
    def tolerance(self) -> float:
        return tolerance_of(self.facts)


def upstreams_place(photo: tuple[int, int]) -> Placement:
    """Upstream's padding, to the next multiple of 32; a graph of fixed sizes needs the square."""
    resized = placement(photo, CLIENT.preprocessing).resized
    spare = [-side % 32 for side in resized]
    return Placement(
        photo=photo,
        resized=resized,
        corner=(spare[0] // 2, spare[1] // 2),
        canvas=(resized[0] + spare[0], resized[1] + spare[1]),
    )


@functools.lru_cache(maxsize=1)
def load(name: str) -> Oracle:
    from edgekit.models.encoders.yolov8_seg import SIZES, YoloV8Seg
    from edgekit.models.seeded import seeded_tensor

    facts, arrays = read_oracle(name)
    network = YoloV8Seg(replace(SIZES[facts["variant"]], bins=16)).eval()
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            values = seeded_tensor(key, tuple(tensor.shape), facts["seed"])
            tensor.copy_(torch.from_numpy(values))
    photo = load_photo(FOLDER / facts["photo"])
    assert facts["input_size"] == CLIENT.preprocessing.frame
    place = upstreams_place(photo.shape[:2])
    image = encoder_input(photo, CLIENT.preprocessing, place=place)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(image))
    raw = {key: out.numpy() for key, out in zip(RAW.values(), outputs, strict=True)}
    return Oracle(facts, arrays, photo, place, image, raw)


@pytest.fixture(scope="module", params=NAMES or [None])
def oracle(request: pytest.FixtureRequest) -> Oracle:
    if request.param is None:
        pytest.skip(f"no oracle of FastSAM in {FOLDER}; set EDGEKIT_ORACLES")
    return load(request.param)


def masks_of(oracle: Oracle, key: str) -> np.ndarray:
    shape = tuple(oracle.arrays[f"{key}.shape"])
    bits = np.unpackbits(oracle.arrays[key])[: int(np.prod(shape))]
    return bits.reshape(shape).astype(bool)


def test_the_preprocessed_photo_equals_opencvs_exactly(oracle: Oracle) -> None:
    assert tuple(oracle.arrays["input.shape"]) == oracle.image.shape
    assert np.array_equal(sampled(oracle.image, "input"), oracle.arrays["input.sample"])


@pytest.mark.parametrize("theirs", RAW)
def test_raw_outputs_equal_upstreams(oracle: Oracle, theirs: str) -> None:
    ours = oracle.raw[RAW[theirs]]
    assert ours.shape == tuple(oracle.arrays[f"embed.{theirs}.shape"])
    tag = f"embed.{theirs}"
    require_close(sampled(ours, tag), oracle.arrays[f"{tag}.sample"], oracle.tolerance)


def test_boxes_after_suppression_equal_upstreams(oracle: Oracle) -> None:
    """Boxes are matched by position, because nearly equal scores make their order unstable."""
    objects = find_objects(oracle.raw, oracle.place, CLIENT.objects)
    theirs = oracle.arrays["nms.boxes"][: int(oracle.arrays["nms.count"][0])]
    assert len(objects.boxes) == len(theirs)
    gaps = np.abs(objects.boxes[:, None] - theirs[None, :, :4]).max(axis=2)
    # Of two candidates with equal scores, either may suppress the other.
    matched = gaps.min(axis=1) <= 0.05
    assert matched.mean() >= 0.97, f"{(~matched).sum()} of {len(matched)} boxes differ"
    nearest = gaps.argmin(axis=1)
    scores = np.abs(objects.scores - theirs[nearest, 4])[matched]
    assert scores.max() <= oracle.tolerance


def test_masks_of_the_first_boxes_equal_upstreams(oracle: Oracle) -> None:
    objects = find_objects(oracle.raw, oracle.place, CLIENT.objects)
    masks, theirs = Masks(objects), masks_of(oracle, "nms.masks8")
    boxes = oracle.arrays["nms.boxes"]
    for index in range(len(theirs)):
        ours = int(np.abs(objects.boxes - boxes[index, :4]).max(axis=1).argmin())
        differing = (masks[ours] != theirs[index]).sum()
        assert differing <= 2 + 0.001 * theirs[index].sum()


@pytest.mark.parametrize("key", ["p1", "p2", "p3"])
def test_prompted_masks_equal_upstreams(oracle: Oracle, key: str) -> None:
    objects = find_objects(oracle.raw, oracle.place, CLIENT.objects)
    facts = oracle.facts["prompts"][key]
    prompt = Prompt.checked(
        points=facts.get("points"), labels=facts.get("labels"), box=facts.get("box")
    )
    chosen = object_mask(Masks(objects), prompt)
    theirs = masks_of(oracle, f"{key}.mask")[0]
    assert (chosen.mask != theirs).sum() <= 2 + 0.001 * theirs.sum()
