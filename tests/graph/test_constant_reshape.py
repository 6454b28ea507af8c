"""Reshapes with computed shapes get constants that are right at every size."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.graph.passes.constant_reshape import constant_reshape


def _model(before: str, after: str, shape: str) -> onnx.ModelProto:
    """`y` = `x` reshaped to a shape that is computed from x's own."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[{before}] x) => (float[{after}] y)
        <int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] three = {{3}}, int64[1] six = {{6}},
         int64[1] rest = {{-1}}> {{
            n = Shape <start = 0, end = 1> (x)
            m = Shape <start = 1, end = 2> (x)
            wider = Add (m, two)
            shape = Concat <axis = 0> ({shape})
            y = Reshape <allowzero = 1> (x, shape)
        }}""")


def _shape_operand(model: onnx.ModelProto) -> list[int] | None:
    reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    found = constants.get(reshape.input[1])
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    ("before", "after", "shape", "constant"),
    [
        ("n, m, 6", "n, m, 2, 3", "n, m, two, three", [0, 0, 2, 3]),
        ("n, 2, 3", "n, 6", "n, six", [0, 6]),
        ("n, m, 6", "p, 6", "rest, six", [-1, 6]),
        ("n, m, 6", "n, q", "n, rest", [0, -1]),
    ],
)
def test_shapes_become_constants_that_fit_every_size(
    before: str, after: str, shape: str, constant: list[int]
) -> None:
    model = _model(before, after, shape)
    kept = model.SerializeToString()

    fixed = constant_reshape(model)

    assert _shape_operand(fixed) == constant
    assert model.SerializeToString() == kept
    onnx.checker.check_model(fixed, full_check=True)
    for n in (1, 4):
        sizes = {"n": n, "m": 5}
        x = np.random.default_rng(0).random(
            [sizes.get(d) or int(d) for d in before.split(", ")], np.float32
        )
        (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
        (got,) = ReferenceEvaluator(fixed).run(None, {"x": x})
        np.testing.assert_array_equal(got, expected)


def test_two_unknown_dimensions_are_left_alone() -> None:
    """One dimension moves and one is computed, which a constant cannot express."""
    model = _model("n, m, 6", "m, p, q", "m, n, six")
    assert _shape_operand(constant_reshape(model)) is None


def test_unannotated_tensors_are_left_alone() -> None:
    model = _model("n, 2, 3", "n, 6", "n, six")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert _shape_operand(constant_reshape(model)) is None
