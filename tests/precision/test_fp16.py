from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.emulation.rounding_twin import rounding_twin
from edgekit.models import registry
from edgekit.models.encoders.efficientvit import LinearAttention
from edgekit.models.encoders.yolov8_seg import YoloSize, YoloV8Seg
from edgekit.precision.apply.casts import apply_casts
from edgekit.precision.apply.rounded_walk import rounded_walk
from edgekit.precision.decide.fp16 import islands_of, plan_with_islands
from edgekit.precision.measure.ranges import Ranges, measure
from edgekit.program.capture import capture_encoder
from edgekit.program.walk import Walk
from edgekit.records import Gate, Role
from edgekit.verification import verify_predictors

GATE = Gate(mean_iou=0.995, p5_iou=0.98, min_iou=0.99)
FRAME = 256
OVERFLOWING = 1e6
"""Scale of the first layer at which its results exceed 65504."""


def islands(model, calibration) -> dict[Role, dict[str, str]]:
    return {role: islands_of(model.program(role), calibration.ranges(role)) for role in Role}


def emulated(model, islands):
    programs = [model.program(role) for role in Role]
    sessions = [
        rounded_walk(apply_casts(p, plan_with_islands(p, islands[p.role]))) for p in programs
    ]
    return model.predictor(*sessions)


def reference(model):
    return model.predictor(*(Walk(model.program(role), lambda _, result: result) for role in Role))


@pytest.mark.slow
def test_a_plan_saves_a_model_that_overflows_in_fp16(tiny, photos) -> None:
    model = tiny(OVERFLOWING)
    plain = verify_predictors(
        emulated(model, {role: {} for role in Role}), reference(model), photos, gate=GATE
    )
    assert not plain.passed
    assert plain.overall.mean_iou == 0
    assert "NaN or infinite" in plain.failures[0]
    planned = islands(model, model.calibrated(photos))
    with_plan = verify_predictors(emulated(model, planned), reference(model), photos, gate=GATE)
    assert with_plan.overall.min_iou >= 0.99
    assert with_plan.passed


def test_islands_are_exactly_the_nodes_of_large_range(tiny, photos) -> None:
    model = tiny(OVERFLOWING)
    found = islands_of(model.encoder, model.calibrated(photos).encoder)
    assert set(found) == {"conv2d", "relu", "conv2d_1", "layer_norm"}
    assert all("exceeds FP16" in reason for reason in found.values())


def test_a_tame_encoder_has_no_island(tiny, calibration) -> None:
    assert islands_of(tiny().encoder, calibration.encoder) == {}


def test_large_angles_stay_in_fp32_with_what_feeds_them(tiny, calibration) -> None:
    found = islands_of(tiny().decoder, calibration.decoder)
    assert {"sin", "cos", "mul_1", "matmul", "sub", "mul", "div", "add"} <= set(found)
    assert "estimated error" in found["sin"]
    assert found["matmul"].startswith("feeds sin: ")
    assert not {"conv_transpose2d", "linear", "matmul_1"} & set(found)


def test_squares_that_overflow_inside_a_norm(tiny, calibration) -> None:
    """The input is far below 65504, but its square is not."""
    ranges = calibration.encoder
    wide = replace(ranges.by_name["conv2d_1"], low=-250.0, high=250.0)
    found = islands_of(
        tiny().encoder, replace(ranges, by_name={**ranges.by_name, "conv2d_1": wide})
    )
    assert found == {"layer_norm": "squares up to 6.2e+04 exceed FP16"}


def test_underflow(tiny, calibration) -> None:
    ranges = calibration.encoder
    faint = replace(ranges.by_name["conv2d_1"], low=-1e-5, high=1e-5, mean=0.0, std=2e-6)
    found = islands_of(
        tiny().encoder, replace(ranges, by_name={**ranges.by_name, "conv2d_1": faint})
    )
    assert "underflow" in found["conv2d_1"]


class LongSums(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        total = image.sum(dim=-1, keepdim=True) + image.mean((2, 3), keepdim=True)
        return torch.softmax(image.flatten(2), dim=-1).reshape(1, 3, 64, 64) + total


def test_sums_over_more_terms_than_fp16_counts() -> None:
    program = capture_encoder(LongSums(), frame=64)
    found = islands_of(program, Ranges(role=Role.ENCODER, by_name={}))
    reason = "sum of 4096 terms, FP16 counts to 2048"
    assert found == {"softmax": reason, "mean": reason}  # not the sum over 64


class LinearAttentionEncoder(torch.nn.Module):
    """EfficientViT's attention over 4096 positions; `scale` makes its keys and values large."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 32, 4, 4)
        self.attention = LinearAttention(32, kernel=5)
        with torch.no_grad():
            self.attention.qkv.conv.weight *= scale

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.attention(self.stem(image))


def test_overflowing_sums_of_linear_attention_are_the_only_islands(photos) -> None:
    """Sums over all positions overflow: mit-han-lab/efficientvit#142 and #184."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        program = capture_encoder(LinearAttentionEncoder(scale=100).eval(), frame=FRAME)
    client = registry.model("nanosam").client
    client = replace(client, preprocessing=replace(client.preprocessing, frame=FRAME))
    found = islands_of(program, measure(program, None, photos=photos, client=client).encoder)

    targets = {node.name: str(node.target) for node in program.exported.graph.nodes}
    kinds = Counter(targets[name].split(".")[1] for name in found)
    assert kinds["matmul"] == 3
    assert kinds["sum"] == kinds["div"] == 1
    assert kinds["conv2d"] == 0

    image = {"image": np.random.default_rng(0).standard_normal((1, 3, FRAME, FRAME), np.float32)}
    exact = Walk(program, lambda _, result: result).run(image)["image_embeddings"]
    plain, planned = (
        rounded_walk(apply_casts(program, plan_with_islands(program, islands))).run(image)
        for islands in ({}, found)
    )
    assert not np.isfinite(plain["image_embeddings"]).all()
    error = np.abs(planned["image_embeddings"] - exact).max() / np.abs(exact).max()
    assert error < 2e-3


@pytest.mark.slow
def test_pytorchs_emulation_and_that_of_the_shipped_file_agree(tiny, lowered) -> None:
    """The same plan rounded before lowering and after."""
    import onnxruntime as ort

    encoder = tiny().encoder
    applied = apply_casts(encoder, plan_with_islands(encoder, {"layer_norm": "x"}))
    _, path = lowered(applied)
    image = np.random.default_rng(0).standard_normal((1, 3, 256, 256), np.float32)
    first = rounded_walk(applied).run({"image": image})["image_embeddings"]
    session = ort.InferenceSession(rounding_twin(path), providers=["CPUExecutionProvider"])
    (second,) = session.run(None, {"image": image})
    exact = Walk(encoder, lambda _, result: result).run({"image": image})["image_embeddings"]
    error = np.abs(first - exact).max()
    assert error > 0
    np.testing.assert_allclose(second, first, rtol=0, atol=error)
    assert np.abs(second - exact).max() > 0


def test_what_is_measured_with_stays_float_from_the_last_large_product() -> None:
    """Boxes and scores of a detector: the table of bins, cells and strides, but no layer."""
    size = YoloSize(widths=(8, 8, 128, 16, 16), depths=(1, 1, 1, 1), bins=4)
    detector = YoloV8Seg(size, frame=64)
    contract = registry.model("fastsam_s").graph
    program = capture_encoder(detector.eval(), frame=64, contract=contract)
    nothing = Ranges(role=Role.ENCODER, by_name={})
    assert islands_of(program, nothing) == {}
    found = islands_of(program, nothing, measures=contract.measures)
    nodes = {node.name: node for node in program.exported.graph.nodes}
    kinds = Counter(str(nodes[name].target).split(".")[1] for name in found)
    assert kinds["sigmoid"] == kinds["softmax"] == 1
    assert kinds["conv2d"] == 1  # the bins'
    assert kinds["silu"] == kinds["conv_transpose2d"] == 0
