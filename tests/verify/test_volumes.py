"""Verification of a model of volumes: by the IoU of voxels, on volumes made of numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgekit.catalog.volumes import seeded_volume
from edgekit.models.families.fastsam3d import CLIENT
from edgekit.records import Gate
from edgekit.runtime import VolumePredictor
from edgekit.verification import PromptKind, verify_volumes

FRAME, SIDE = 16, 4
RULES = replace(CLIENT, preprocessing=replace(CLIENT.preprocessing, frame=FRAME), side=SIDE)
GATE = Gate(mean_iou=0.999, min_iou=0.99)
# Prompts of each kind on one volume.
KINDS = {
    PromptKind.POINT: 2,
    PromptKind.POINT_WITH_NEGATIVE: 1,
    PromptKind.REFINEMENT: 1,
    PromptKind.MULTIMASK: 1,
}


class Encoder:
    def run(self, feeds):
        return {"image_embeddings": feeds["image"]}


class Decoder:
    """Logits that depend on volume, click and mask; `bias` moves all of them."""

    def __init__(self, bias: float = 0.0) -> None:
        self.bias = bias

    def run(self, feeds):
        step = FRAME // SIDE
        coarse = feeds["image_embeddings"][:, :, ::step, ::step, ::step]
        click = feeds["point_coords"][0, 0].sum() * (1 if feeds["point_labels"][0, 0] else -1)
        logits = coarse + 0.01 * click + 0.1 * feeds["mask_input"] + self.bias
        masks = logits + np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1, 1) / 4
        return {"low_res_masks": masks, "iou_predictions": masks.mean(axis=(2, 3, 4))}


def predictor(bias: float = 0.0) -> VolumePredictor:
    return VolumePredictor.from_sessions(RULES, Encoder(), Decoder(bias))


def test_equal_models_agree_on_every_kind_of_prompt() -> None:
    told: list[tuple[int, int]] = []
    verdict = verify_volumes(
        predictor(), predictor(), gate=GATE, on_volume=lambda *step: told.append(step)
    )
    assert verdict.passed, verdict.failures
    assert (verdict.photos, verdict.sample) == (3, "volume")
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert {kind.kind: kind.prompts / 3 for kind in verdict.kinds} == KINDS
    assert verdict.overall is not None
    assert (verdict.overall.min_iou, verdict.overall.max_logit_error) == (1, 0)


@pytest.mark.parametrize(("bias", "failure"), [(0.3, "mean IoU"), (np.nan, "NaN or infinite")])
def test_another_model_fails(bias: float, failure: str) -> None:
    verdict = verify_volumes(predictor(bias), predictor(), gate=GATE)
    assert not verdict.passed
    assert failure in " ".join(verdict.failures)


def test_seeded_volumes_are_scans_of_their_own() -> None:
    first, again, other = (seeded_volume(seed, 32) for seed in (0, 0, 1))
    assert np.array_equal(first.voxels, again.voxels)
    assert not np.array_equal(first.voxels, other.voxels)
    assert (first.voxels.dtype, first.voxels.shape) == (np.int16, (32, 32, 32))
    assert 0.02 < (first.voxels > 0).mean() < 0.9
    assert all(first.voxels[centre] > 0 for centre in first.centres)
    assert max(Counter(first.centres).values()) == 1
