"""A Slice that ends at the smaller of two sizes needs no Min."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.graph.passes.clamped_slice import clamped_slice
from edgekit.graph.passes.simplify import simplify


def _model(smaller: str, axis: int) -> onnx.ModelProto:
    """`y` is the start of a table of 3 x 4, along an axis, up to a size that n decides."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[n] x) => (float[p, q] y)
        <float[3, 4] table = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}, int64 two = {{2}},
         int64 three = {{3}}, int64 four = {{4}}, int64[1] zero = {{0}}, int64[1] one = {{1}},
         int64[1] flat = {{-1}}, int64[1] axis = {{{axis}}}> {{
            shape = Shape (x)
            n = Squeeze (shape)
            m = {smaller}
            end = Reshape (m, flat)
            y = Slice (table, zero, end, axis, one)
        }}""")


def _operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in simplify(model).graph.node]


def _results(model: onnx.ModelProto) -> list[np.ndarray]:
    run = ReferenceEvaluator(model)
    return [run.run(None, {"x": np.zeros(n, np.float32)})[0] for n in (1, 2, 3, 4, 5, 9)]


@pytest.mark.parametrize(
    ("smaller", "axis"), [("Min (three, n)", 0), ("Min (n, three)", 0), ("Min (four, n)", 1)]
)
def test_the_slice_stops_by_itself(smaller: str, axis: int) -> None:
    model = _model(smaller, axis)
    kept = model.SerializeToString()

    fixed = clamped_slice(model)

    assert model.SerializeToString() == kept
    assert "Min" in _operators(model)
    assert "Min" not in _operators(fixed)
    for got, expected in zip(_results(fixed), _results(model), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("smaller", "axis"),
    [
        pytest.param("Min (two, n)", 0, id="less than the axis"),
        pytest.param("Min (three, n)", 1, id="of another axis"),
        pytest.param("Max (three, n)", 0, id="the larger"),
        pytest.param("Min (three, three)", 0, id="both are the axis"),
        pytest.param("Min (three, n, two)", 0, id="of three"),
    ],
)
def test_other_ends_stay(smaller: str, axis: int) -> None:
    model = _model(smaller, axis)
    assert clamped_slice(model).graph.node == model.graph.node
