"""A volume's way to the encoder, clicks' way to the decoder, and masks' way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.models.families.fastsam3d import CLIENT
from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.runtime import VolumePredictor
from edgekit.runtime.client_kinds import photo_client, volume_client
from edgekit.runtime.volume_input import volume_input
from edgekit.runtime.volume_predictor import voxels_inside

FRAME, SIDE = 16, 4
RULES = replace(CLIENT, preprocessing=replace(CLIENT.preprocessing, frame=FRAME), side=SIDE)
SCAN = np.arange(FRAME**3, dtype=np.int16).reshape(FRAME, FRAME, FRAME)


class Encoder:
    def run(self, feeds):
        return {"image_embeddings": feeds["image"][:, :, :2, :2, :2]}


class Decoder:
    """Mask 0 is the mask that came in, plus 1; the others are empty, and mask 3 scores highest."""

    def __init__(self) -> None:
        self.calls: list[dict[str, np.ndarray]] = []

    def run(self, feeds):
        self.calls.append(feeds)
        masks = np.full((1, 4, SIDE, SIDE, SIDE), -1, np.float32)
        masks[:, 0] = feeds["mask_input"][:, 0] + 1
        return {
            "low_res_masks": masks,
            "iou_predictions": np.array([[0.5, 0.1, 0.2, 0.9]], np.float32),
        }


@pytest.fixture
def decoder() -> Decoder:
    return Decoder()


@pytest.fixture
def predictor(decoder: Decoder) -> VolumePredictor:
    made = VolumePredictor.from_sessions(RULES, Encoder(), decoder)
    made.set_volume(SCAN)
    return made


def test_voxels_are_normalised_by_the_tissue_alone() -> None:
    scan = SCAN.astype(np.float32)
    scan[0] = -1000  # air
    image = volume_input(scan, RULES.preprocessing)
    assert (image.shape, image.dtype) == ((1, 1, FRAME, FRAME, FRAME), np.float32)
    tissue = image[0, 0][scan > 0]
    assert tissue.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert tissue.std(ddof=1, dtype=np.float64) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (SCAN[:8], "shape [8, 16, 16]"),
        (SCAN[None], "shape [1, 16, 16, 16]"),
        ([[1], [2, 3]], "cannot be read as numbers"),
        (SCAN.astype(np.complex64), "type complex64"),
        (SCAN.astype(bool), "type bool"),
        (SCAN.astype(object), "type object"),
        (np.full(SCAN.shape, np.nan), "NaN or infinite"),
        (np.where(SCAN > 5, np.inf, SCAN), "NaN or infinite"),
        (np.zeros(SCAN.shape), "cannot be normalised"),
        (np.full(SCAN.shape, 7), "cannot be normalised"),
        (SCAN * 1e300, "cannot be normalised"),
    ],
)
def test_volumes_that_are_refused(predictor: VolumePredictor, volume, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        predictor.set_volume(volume)
    assert words in str(caught.value)
    with pytest.raises(BadInput, match="No volume is set"):
        predictor.predict([[1, 2, 3]], [1])


def test_a_click_is_decoded_with_a_padding_point_and_a_mask_of_zeros(
    predictor: VolumePredictor, decoder: Decoder
) -> None:
    masks, scores, logits = predictor.predict([[3, 4, 5]], [0])
    (call,) = decoder.calls
    assert call["point_coords"].tolist() == [[[3, 4, 5], [0, 0, 0]]]
    assert call["point_labels"].tolist() == [[0, -1]]
    assert call["has_mask_input"].tolist() == [1]
    assert not call["mask_input"].any()
    assert (masks.shape, logits.shape) == ((1, FRAME, FRAME, FRAME), (1, SIDE, SIDE, SIDE))
    assert masks.all()
    assert scores.tolist() == [0.5]


def test_each_click_goes_on_from_the_mask_of_the_one_before(
    predictor: VolumePredictor, decoder: Decoder
) -> None:
    first = predictor.predict([[1, 1, 1], [2, 2, 2]], [1, 0]).low_res_logits[0]
    assert [call["point_coords"][0, 0, 0] for call in decoder.calls] == [1, 2]
    assert (decoder.calls[1]["mask_input"] == 1).all()
    later = predictor.predict([[3, 3, 3]], [1], mask=first).low_res_logits[0]
    assert (first == 2).all()
    assert (later == 3).all()


def test_several_masks_are_of_the_last_click(predictor: VolumePredictor, decoder: Decoder) -> None:
    result = predictor.predict([[1, 1, 1], [2, 2, 2]], [1, 0], multimask=True)
    assert (decoder.calls[1]["mask_input"] == 1).all()
    assert result.scores.tolist() == pytest.approx([0.1, 0.2, 0.9])
    assert not result.masks.any()


@pytest.mark.parametrize(
    ("points", "labels", "mask", "words"),
    [
        ([[1, 2]], [1], None, "shape [1, 2]"),
        ([[1, 2, 3]], [1, 0], None, "1 points and labels of shape [2]"),
        ([[1, 2, 3]], [2], None, "no point label 2"),
        ([[1, 2, np.nan]], [1], None, "finite"),
        ([[1, 2, 16]], [1], None, "(1, 2, 16) lies outside the volume"),
        ([[-1, 2, 3]], [1], None, "(-1, 2, 3) lies outside the volume"),
        ([], [], None, "no point"),
        ([[1, 2, 3]], [1], np.zeros((SIDE, SIDE)), "mask cannot have the shape [4, 4]"),
    ],
)
def test_prompts_that_are_refused(
    predictor: VolumePredictor, points, labels, mask, words: str
) -> None:
    with pytest.raises(BadInput) as caught:
        predictor.predict(points, labels, mask=mask)
    assert words in str(caught.value)


def test_masks_are_enlarged_as_torch_does() -> None:
    torch = pytest.importorskip("torch", reason="torch is the reference (extra `export`)")
    logits = np.random.default_rng(0).standard_normal((2, SIDE, SIDE, SIDE)).astype(np.float32)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], (FRAME,) * 3, mode="trilinear"
    )[0].numpy()
    sure = np.abs(enlarged) > 1e-5
    assert sure.mean() > 0.99
    assert np.array_equal(voxels_inside(logits, RULES)[sure], (enlarged > 0)[sure])


def test_a_model_of_the_other_kind_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="segments volumes, not photos"):
        photo_client(CLIENT)
    with pytest.raises(BadInput, match="segments photos, not volumes"):
        volume_client(SAM_CLIENT)
