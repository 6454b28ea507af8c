"""The rules of two families, and sessions that stand in for graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.records import (
    ClientContract,
    Feeds,
    FloatArray,
    MaskChoice,
    MaskRule,
    Preprocessing,
    PromptRule,
    Rgb,
)
from edgekit.runtime import Predictor

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
ONE, THREE = MaskChoice(masks=(0,)), MaskChoice(masks=(1, 2, 3))

SAM = ClientContract(
    preprocessing=Preprocessing(
        frame=1024, resample="bilinear", rounding="half_up", mean=MEAN, std=STD
    ),
    prompts=PromptRule(coordinate_scale="per_axis", padding_point="without_box"),
    masks=MaskRule(single=ONE, multimask=THREE, upscale="frame_then_photo"),
)
NANOSAM = ClientContract(
    preprocessing=Preprocessing(
        frame=1024, resample="bicubic", rounding="truncate", mean=MEAN, std=STD
    ),
    prompts=PromptRule(coordinate_scale="longest_side", padding_point="never"),
    masks=MaskRule(single=ONE, multimask=THREE, upscale="straight"),
)


class Recorder:
    """A session that records its inputs and computes its outputs with a function."""

    def __init__(self, answer: Callable[[Feeds], dict[str, FloatArray]]) -> None:
        self.answer = answer
        self.calls: list[Feeds] = []

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        self.calls.append(feeds)
        return self.answer(feeds)


def encode(feeds: Feeds) -> dict[str, FloatArray]:
    return {"image_embeddings": feeds["image"].mean(dtype=np.float32).reshape(1, 1, 1, 1)}


def decode(feeds: Feeds) -> dict[str, FloatArray]:
    """For a first token at x, mask m covers the columns left of x / 4 + 10 m and scores x + m."""
    x = feeds["point_coords"][:, 0, 0].reshape(-1, 1, 1, 1)
    edge = x / 4 + 10 * np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    columns = np.arange(256, dtype=np.float32)
    low_res = np.broadcast_to(edge - columns, (len(x), 4, 256, 256)).astype(np.float32)
    scores = (x[:, :, 0, 0] + np.arange(4)).astype(np.float32)
    return {"low_res_masks": low_res, "iou_predictions": scores}


class Setup:
    """A predictor and its two stand-in sessions."""

    def __init__(
        self,
        client: ClientContract,
        slots: tuple[int, ...],
        batches: tuple[tuple[int, int], ...],
    ) -> None:
        self.encoder, self.decoder = Recorder(encode), Recorder(decode)
        self.predictor = Predictor.from_sessions(
            client, self.encoder, self.decoder, prompt_slots=slots, prompt_batches=batches
        )


@pytest.fixture
def make_setup() -> Callable[..., Setup]:
    """`make_setup(client, slots, batches)`; by default SAM's rules and a dynamic decoder."""

    def make(
        client: ClientContract = SAM,
        slots: tuple[int, ...] = (),
        batches: tuple[tuple[int, int], ...] = (),
    ) -> Setup:
        return Setup(client, slots, batches)

    return make


@pytest.fixture
def sam() -> ClientContract:
    return SAM


@pytest.fixture
def nanosam() -> ClientContract:
    return NANOSAM


@pytest.fixture(params=["sam", "nanosam"])
def client(request: pytest.FixtureRequest) -> ClientContract:
    return SAM if request.param == "sam" else NANOSAM


@pytest.fixture
def photo() -> Rgb:
    return np.random.default_rng(7).integers(0, 256, (30, 40, 3), dtype=np.uint8)
