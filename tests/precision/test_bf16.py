"""BF16: what stays FP32, when the decoder does, and the walk that rounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekit.catalog import target
from edgekit.precision.apply.casts import apply_casts
from edgekit.precision.apply.rounded_walk import rounded_walk
from edgekit.precision.decide.bf16 import plan_bf16
from edgekit.program.walk import Walk
from edgekit.records import Execution, Precision, Role
from edgekit.verification import verify_predictors
from edgekit.verification.verdict import not_run

GATE = target("x86-bf16").gate


@pytest.fixture
def judge(tiny, photos):
    """A judge of plans of the tiny model, as the stage makes it."""
    model = tiny()
    exact = tuple(Walk(model.program(role), lambda _, result: result) for role in Role)

    def verdict(parts):
        rounded = (rounded_walk(apply_casts(model.program(part.role), part)) for part in parts)
        return verify_predictors(
            model.predictor(*rounded),
            model.predictor(*exact),
            photos,
            gate=GATE,
            execution=Execution(how="emulated", reason="a test"),
        )

    return verdict


def test_phases_stay_fp32_and_all_else_is_bf16(tiny, judge) -> None:
    model = tiny()
    encoder, decoder = plan_bf16((model.encoder, model.decoder), judge)
    assert {line.precision for line in encoder.nodes} == {Precision.BF16}
    exact = [line.operator for line in decoder.nodes if line.precision is Precision.FP32]
    assert exact == [
        *("add.Tensor", "div.Tensor", "mul.Tensor", "sub.Tensor"),
        *("matmul.default", "mul.Tensor", "sin.default", "cos.default"),
    ]
    assert all("pixels" in line.reason for line in decoder.nodes if line.reason)


def test_the_decoder_stays_fp32_if_its_masks_miss_the_gate(tiny) -> None:
    model = tiny()
    parts = plan_bf16((model.encoder, model.decoder), lambda _: not_run("a test", gate=GATE))
    assert {line.precision for line in parts[0].nodes} == {Precision.BF16}
    assert parts[1].all_fp32
    assert {line.reason for line in parts[1].nodes} == {
        "masks miss the gate in BF16: not run: a test"
    }


def test_a_model_without_a_decoder_is_not_judged(tiny) -> None:
    def refuse(_):
        raise AssertionError("judged")

    (part,) = plan_bf16((tiny().encoder,), refuse)
    assert {line.precision for line in part.nodes} == {Precision.BF16}


def test_the_walk_rounds_to_8_bits(tiny) -> None:
    model = tiny()
    (part,) = plan_bf16((model.encoder,), lambda parts: not_run(f"{parts}", gate=GATE))
    image = np.random.default_rng(0).standard_normal((1, 3, 256, 256), np.float32)
    feeds = {"image": image}
    exact = Walk(model.encoder, lambda _, result: result).run(feeds)["image_embeddings"]
    rounded = rounded_walk(apply_casts(model.encoder, part)).run(feeds)["image_embeddings"]
    noise = 20 * math.log10((exact**2).mean() ** 0.5 / ((rounded - exact) ** 2).mean() ** 0.5)
    assert 35 < noise < 60  # FP16 has 18 dB more
    assert (torch.from_numpy(rounded).bfloat16().float().numpy() == rounded).all()
