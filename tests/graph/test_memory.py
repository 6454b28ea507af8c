"""The memory estimate on graphs small enough to count by hand."""

from __future__ import annotations

import onnx
import pytest

from edgekit.errors import GraphRejected
from edgekit.graph.memory import memory_need


def _graph(body: str, *, constants: str = "") -> onnx.ModelProto:
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[n, 4] x) => (float[n, 4] y) <{constants}> {{ {body} }}""")


# x is [n, 4] float32: 16 bytes a row.
CASES = {
    # a chain: one tensor read, one written
    "a = Relu (x)  b = Relu (a)  y = Relu (b)": 2 * 16,
    # x waits for the end while the middle runs: x, a and b
    "a = Relu (x)  b = Relu (a)  y = Add (b, x)": 3 * 16,
    # half the bytes in float16: x 16 + h 8, then h 8 + r 8, then r 8 + y 16
    "h = Cast <to = 10> (x)  r = Relu (h)  y = Cast <to = 1> (r)": 16 + 8,
    # widened: x 16 and the concatenation 32
    "w = Concat <axis = 1> (x, x)  y = ReduceMax <keepdims = 1> (w, axes)  z = Relu (y)": 16 + 32,
    # a view has no memory of its own, and keeps that of what it views: x, a, b
    "a = Relu (x)  v = Reshape (a, flat)  b = Relu (a)  r = Reshape (v, rows)  y = Add (r, b)": (
        3 * 16
    ),
    # a result that nobody reads is gone at once, and so is the input
    "unused = Relu (x)  y = Neg (x)": 2 * 16,
}
CONSTANTS = "int64[1] axes = {1}, int64[1] flat = {-1}, int64[2] rows = {-1, 4}"


@pytest.mark.parametrize("rows", [1, 10])
@pytest.mark.parametrize("body", CASES)
def test_activations_are_those_alive_at_once(body: str, rows: int) -> None:
    need = memory_need(_graph(body, constants=CONSTANTS), {"n": rows})
    assert need.activations == CASES[body] * rows
    assert need.sizes == {"n": rows}


def test_weights_count_once_in_their_own_type() -> None:
    model = _graph(
        "s = Add (x, w)  t = Mul (s, w)  h = Cast <to = 10> (t)  i = Add (h, half)"
        "  y = Cast <to = 1> (i)",
        constants="float[4] w = {1, 2, 3, 4}, float16[4] half = {1, 2, 3, 4}",
    )
    need = memory_need(model, {"n": 1})
    assert need.weights == 4 * 4 + 4 * 2
    assert need.activations == 16 + 16


def test_the_model_given_keeps_its_dynamic_dimensions() -> None:
    model = _graph("y = Relu (x)")
    before = model.SerializeToString()
    memory_need(model, {"n": 3})
    assert model.SerializeToString() == before


def test_an_unknown_size_is_an_error() -> None:
    with pytest.raises(GraphRejected, match="The memory of x cannot be estimated"):
        memory_need(_graph("y = Relu (x)"), {})
