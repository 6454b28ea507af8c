"""Biases of linear layers that read codes get codes themselves; the results stay."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.graph.passes.coded_bias import LARGEST, coded_bias

TOKENS, CHANNELS = 5, 4
STEP = 0.1 * 0.02


def linear(
    *,
    sum_: str = "product, bias",
    weight_scale: object = (0.02, 0.01, 0.02, 0.04),
    activation: str = "x",
    bias: object = (0.5, -0.3, 0.001, 0.0),
) -> onnx.ModelProto:
    """`y` = a coded activation times a coded weight, plus a bias."""
    per_channel = isinstance(weight_scale, tuple)
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[1, {TOKENS}, {CHANNELS}] image) => (float[1, {TOKENS}, {CHANNELS}] y) {{
            codes = QuantizeLinear (image, scale, zero)
            x = DequantizeLinear (codes, scale, zero)
            w = DequantizeLinear <axis = 0> (weight, weight_scale)
            turned = Transpose <perm = [1, 0]> (w)
            product = MatMul ({activation}, turned)
            y = Add ({sum_})
        }}""")
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.1),
        "zero": np.uint8(120),
        "weight": rng.integers(-127, 127, (CHANNELS, CHANNELS), np.int8),
        "weight_scale": np.array(weight_scale, np.float32).reshape((-1,) if per_channel else ()),
        "bias": np.array(bias, np.float32),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()
    )
    return model


def coded(model: onnx.ModelProto) -> int:
    """How many tensors have codes of 32 bits."""
    return sum(tensor.data_type == onnx.TensorProto.INT32 for tensor in model.graph.initializer)


@pytest.mark.parametrize("sum_", ["product, bias", "bias, product"])
@pytest.mark.parametrize("weight_scale", [0.02, (0.02, 0.01, 0.02, 0.04)])
def test_the_results_differ_by_half_a_step(sum_: str, weight_scale: object) -> None:
    model = linear(sum_=sum_, weight_scale=weight_scale)
    kept = model.SerializeToString()
    rewritten = coded_bias(model)
    assert model.SerializeToString() == kept
    assert coded(rewritten) == 1
    onnx.checker.check_model(rewritten, full_check=True)
    image = np.random.default_rng(1).standard_normal((1, TOKENS, CHANNELS), dtype=np.float32)
    (before,) = ReferenceEvaluator(model).run(None, {"image": image})
    (after,) = ReferenceEvaluator(rewritten).run(None, {"image": image})
    step = 0.1 * np.asarray(weight_scale)
    assert (np.abs(before - after) <= 0.5 * step + 1e-6).all()


LEFT = {
    "an activation in float": {"activation": "image"},
    "a bias of two dimensions": {"bias": np.ones((TOKENS, CHANNELS))},
    "a bias beyond the codes": {"bias": (2 * LARGEST * STEP, 0, 0, 0), "weight_scale": 0.02},
    "a bias that is not finite": {"bias": (np.nan, 0, 0, 0)},
    "a sum with an activation": {"sum_": "product, x"},
}


@pytest.mark.parametrize("case", LEFT.values(), ids=LEFT)
def test_what_is_no_coded_layer_is_left(case: dict[str, object]) -> None:
    model = linear(**case)
    assert coded_bias(model) == model
