"""Weights without codes as float16: half the bytes, the same results to float16's rounding."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.graph.passes.half_weights import SMALLEST, half_weights
from edgekit.records import FloatArray

SIDE = 128


def product(weight: FloatArray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> '
        f"g (float[1, {SIDE}] x) => (float[1, {SIDE}] y) {{ y = MatMul (x, w) }}"
    )
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


def run(model: onnx.ModelProto, x: FloatArray) -> FloatArray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (result,) = session.run(None, {"x": x})
    return result


@pytest.fixture
def weight() -> FloatArray:
    return np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)


def test_half_the_bytes_and_like_results(weight: FloatArray) -> None:
    x = np.random.default_rng(1).normal(size=(1, SIDE)).astype(np.float32)
    model, halved = product(weight), half_weights(product(weight))
    onnx.checker.check_model(halved, full_check=True)
    assert halved.ByteSize() < 0.52 * model.ByteSize()
    exact = run(model, x)
    assert 0 < np.abs(run(halved, x) - exact).max() < 1e-2


def test_float16_cannot_hold_it(weight: FloatArray) -> None:
    weight[0, 0] = 1e5
    assert half_weights(product(weight)) == product(weight)


def test_small_tensors_stay(weight: FloatArray) -> None:
    small = product(weight)
    del small.graph.initializer[:]
    small.graph.initializer.append(numpy_helper.from_array(weight.reshape(-1)[: SMALLEST - 1], "v"))
    assert half_weights(small) == small
