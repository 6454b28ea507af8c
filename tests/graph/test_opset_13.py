"""A graph in opset 13 gives the results of the one in opset 20, operator by operator."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from packaging.version import Version

from edgekit.errors import GraphRejected
from edgekit.graph.passes.opset_13 import _WIDENED, opset_13
from edgekit.graph.typed_graph import opset_of


def _graph(
    body: str, *, constants: str = "", result: str = "float[a, b, c]", x: str = "float[n, 4, 6]"
) -> onnx.ModelProto:
    """Nodes from `x` to `y` in opset 20."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g ({x} x) => ({result} y) <{constants}> {{ {body} }}""")


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (result,) = session.run(None, {"x": x})
    return np.asarray(result)


_SCALE = "float[6] scale = {1.0, 2.0, -1.0, 0.5, 3.0, 1.5}"
_SCALE_AND_BIAS = f"{_SCALE}, float[6] bias = {{0.0, 1.0, 2.0, -1.0, 0.25, 4.0}}"
_AXIS = "int64[1] axes = {1}"

REWRITTEN = {
    "gelu": _graph("y = Gelu (x)"),
    "gelu tanh": _graph('y = Gelu <approximate = "tanh"> (x)'),
    "layer norm": _graph(
        "y = LayerNormalization <epsilon = 0.001> (x, scale, bias)", constants=_SCALE_AND_BIAS
    ),
    "layer norm without bias": _graph("y = LayerNormalization (x, scale)", constants=_SCALE),
    "layer norm over two axes": _graph(
        "s = Expand (scale, two)  y = LayerNormalization <axis = 1> (x, s)",
        constants=f"{_SCALE}, int64[2] two = {{4, 6}}",
    ),
    "mean": _graph("y = ReduceMean (x, axes)", constants=_AXIS),
    "mean of everything": _graph("y = ReduceMean (x)"),
    "mean of nothing": _graph("y = ReduceMean <noop_with_empty_axes = 1> (x)"),
    "max without the dimension": _graph(
        "y = ReduceMax <keepdims = 0> (x, axes)", constants=_AXIS, result="float[a, c]"
    ),
    "sum": _graph("y = ReduceSum (x, axes)", constants=_AXIS),
    "reshape": _graph("y = Reshape <allowzero = 1> (x, s)", constants="int64[3] s = {-1, 2, 12}"),
    "first dimension": _graph("y = Shape <start = 0, end = 1> (x)", result="int64[1]"),
    "last dimensions": _graph("y = Shape <start = -2> (x)", result="int64[2]"),
    "whole shape": _graph("y = Shape (x)", result="int64[3]"),
    "pad": _graph(
        "y = Pad (x, pads, , axes)",
        constants="int64[4] pads = {1, 0, 2, 3}, int64[2] axes = {-1, 1}",
    ),
    "pad everywhere": _graph("y = Pad (x, pads)", constants="int64[6] pads = {0, 0, 1, 0, 2, 0}"),
    "split": _graph(
        "a, b = Split <axis = -1, num_outputs = 2> (x)  y = Sub (a, b)",
    ),
    "resize": _graph(
        'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , s)',
        constants="float[3] s = {1.0, 2.0, 2.0}",
    ),
    "types only": _graph(
        "r = Relu (x)  e = Equal (r, x)  w = Where (e, r, x)  f = Cast <to = 10> (w)"
        "  y = Cast <to = 1> (f)"
    ),
    "constant": _graph("two = Constant <value = float {2.0}> ()  y = Pow (x, two)"),
}


@pytest.mark.parametrize("name", REWRITTEN)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_rewritten_graph_computes_the_same(name: str, batch: int) -> None:
    x = np.random.default_rng(0).normal(size=(batch, 4, 6)).astype(np.float32)
    older = opset_13(REWRITTEN[name])
    onnx.checker.check_model(older, full_check=True)
    assert (opset_of(older), older.ir_version) == (13, 7)
    if name == "mean of nothing" and Version(ort.__version__) < Version("1.24"):
        pytest.skip("ONNX Runtime 1.23.2, the last for Python 3.10, fails: it reduces all axes")
    want = _run(REWRITTEN[name], x)
    assert want.size
    np.testing.assert_allclose(_run(older, x), want, rtol=2e-6, atol=1e-6)


def test_the_graph_given_is_left_alone() -> None:
    before = REWRITTEN["layer norm"].SerializeToString()
    opset_13(REWRITTEN["layer norm"])
    assert REWRITTEN["layer norm"].SerializeToString() == before


def test_a_layer_norm_in_float16_is_computed_in_float32() -> None:
    """Deviations of 300 have squares that float16 cannot hold."""
    model = _graph(
        "h = Cast <to = 10> (x)  s = Cast <to = 10> (scale)  b = Cast <to = 10> (bias)"
        "  n = LayerNormalization (h, s, b)  y = Cast <to = 1> (n)",
        constants=_SCALE_AND_BIAS,
    )
    x = np.random.default_rng(1).normal(size=(2, 4, 6)).astype(np.float32) * 300
    got = _run(opset_13(model), x)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, _run(REWRITTEN["layer norm"], x), rtol=4e-3, atol=4e-3)


def test_a_gelu_in_float16_is_computed_in_float32() -> None:
    """At -3, 1 + erf(x / sqrt 2) = 0.0027 is wrong by a tenth in float16."""
    model = _graph("h = Cast <to = 10> (x)  g = Gelu (h)  y = Cast <to = 1> (g)")
    x = np.full((1, 4, 6), -3, np.float32)
    np.testing.assert_allclose(_run(opset_13(model), x), -0.00404970, rtol=1e-3)


REFUSED = {
    "it names axes": _graph(
        "y = Resize <axes = [1, 2]> (x, , s)", constants="float[2] s = {2.0, 2.0}"
    ),
    "antialias is 1": _graph(
        'y = Resize <antialias = 1, mode = "linear"> (x, , s)',
        constants="float[3] s = {1.0, 2.0, 2.0}",
    ),
    "its axes are computed": _graph(
        "s = Shape <start = 0, end = 1> (x)  y = ReduceMean (x, s)",
    ),
    "mode is 'wrap'": _graph(
        'y = Pad <mode = "wrap"> (x, pads)', constants="int64[6] pads = {0, 0, 1, 0, 2, 0}"
    ),
    "its mean or deviation is used": _graph(
        "n, m = LayerNormalization (x, scale)  y = Sub (x, m)", constants=_SCALE
    ),
    "HardSwish changed after opset 13": _graph("y = HardSwish (x)"),
    "it may be uneven": _graph(
        "a, b = Split <axis = -1, num_outputs = 4> (x)  y = Identity (a)".replace(
            "a, b", "a, b, c, d"
        )
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_graph_without_counterpart_is_rejected_with_the_reason(why: str) -> None:
    with pytest.raises(GraphRejected, match="cannot be written in opset 13") as caught:
        opset_13(REFUSED[why])
    assert why in str(caught.value)


@pytest.mark.parametrize("kind", sorted(_WIDENED))
def test_copied_operators_have_the_same_operands_and_attributes(kind: str) -> None:
    then, now = (onnx.defs.get_schema(kind, version) for version in (13, 20))
    assert then.attributes.keys() == now.attributes.keys()
    assert [o.name for o in then.inputs] == [o.name for o in now.inputs]
    assert then.since_version < now.since_version, "no need to list it"
