"""Graphs checked against the operator tables of TensorRT's parsers and its rules for INT8."""

from __future__ import annotations

import dataclasses

import onnx
import pytest

from edgekit import catalog
from edgekit.graph.lint import Finding, lint
from edgekit.graph.operators import OperatorTable, operator_tables, tables_for
from edgekit.records import Target

# In the tables, gone from ONNX or never in it.
LEGACY = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}


@pytest.fixture
def orin(target: Target) -> Target:
    return dataclasses.replace(target, runtime="tensorrt", runtime_versions=">=10.3,<10.4")


@pytest.fixture
def nano(target: Target) -> Target:
    return dataclasses.replace(target, runtime="tensorrt", runtime_versions=">=8.2,<8.3")


def _graph(
    body: str,
    *,
    constants: str = "",
    result: str = "float[a, b, c, d]",
    x: str = "float[1, 4, 8, 8]",
    opset: int = 20,
) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : {opset}]>
        g ({x} x) => ({result} y) <{constants}> {{ {body} }}""")


def _findings(model: onnx.ModelProto, target: Target) -> list[Finding]:
    return [f for f in lint(model, target) if f.rule.startswith(("tensorrt", "symmetric"))]


@pytest.mark.parametrize("table", operator_tables(), ids=lambda table: table.version)
def test_tables_name_operators_of_onnx_and_types_that_are_known(table: OperatorTable) -> None:
    names = [name for names in table.operators.values() for name in names]
    assert len(names) > 100
    assert len(set(names)) == len(names), "an operator is listed twice"
    assert {name for name in names if not onnx.defs.has(name)} == LEGACY
    known = {
        "fp32",
        "fp16",
        "bf16",
        "fp8",
        "fp4",
        "int4",
        "int8",
        "uint8",
        "int32",
        "int64",
        "bool",
    }
    assert {kind for types in table.operators for kind in types.split()} <= known
    for operands in (table.constant_operands, table.ranks, table.outputs, table.attributes):
        assert operands.keys() <= {*names}
    assert table.source.startswith("https://github.com/onnx/onnx-tensorrt/")


@pytest.mark.parametrize("table", operator_tables(), ids=lambda table: table.version)
def test_attributes_of_tables_are_attributes_of_the_operator(table: OperatorTable) -> None:
    for operator, allowed in table.attributes.items():
        assert allowed.keys() <= onnx.defs.get_schema(operator).attributes.keys()


@pytest.mark.parametrize(
    ("accepted", "held_to"),
    [
        (">=8.2,<8.3", ["8.2"]),
        (">=10.3,<12", ["10.3", "10.15"]),
        (">=10.7,<10.8", ["10.3"]),
        (">=11", ["10.15"]),
    ],
)
def test_a_target_is_held_to_every_version_it_accepts(
    target: Target, accepted: str, held_to: list[str]
) -> None:
    own = dataclasses.replace(target, runtime="tensorrt", runtime_versions=accepted)
    assert [table.version for table in tables_for(own)] == held_to


def test_runtimes_without_tables_are_not_held_to_any(target: Target) -> None:
    assert tables_for(target) == ()


def test_every_tensorrt_profile_has_a_table_that_reads_its_opset() -> None:
    for profile in catalog.targets():
        if profile.runtime == "tensorrt":
            tables = tables_for(profile)
            assert tables, profile.name
            assert all(profile.opset <= table.newest_opset for table in tables)


BROKEN = {
    "is not imported": _graph("y = Det (x)", result="float[a, b]"),
    "not for int32": _graph("i = Cast <to = 6> (x)  s = Softplus (i)  y = Cast <to = 1> (s)"),
    "needs a constant axes": _graph(
        "axes = Shape <start = 0, end = 1> (x)  y = Squeeze (x, axes)", result="float[a, b, c]"
    ),
    "is imported for rank (4, 5), not for 3": _graph(
        "y = MaxPool <kernel_shape = [2]> (x)", x="float[1, 4, 8]", result="float[a, b, c]"
    ),
    "is imported with 1 output": _graph(
        "n, m = LayerNormalization (x, scale)  y = Sub (x, m)", constants="float[1] scale = {1.0}"
    ),
    "is not imported with mode cubic": _graph(
        'y = Resize <mode = "cubic"> (x, , s)', constants="float[4] s = {1.0, 1.0, 2.0, 2.0}"
    ),
    "is not imported with antialias 1": _graph(
        'y = Resize <mode = "linear", antialias = 1> (x, , s)',
        constants="float[4] s = {1.0, 1.0, 2.0, 2.0}",
    ),
    "is not imported with dilations (2, 2)": _graph(
        "y = MaxPool <kernel_shape = [2, 2], dilations = [2, 2]> (x)"
    ),
    "newer than 20": _graph("y = Relu (x)", opset=21),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_operators_that_10_3_lacks_are_reported(problem: str, orin: Target) -> None:
    (finding,) = _findings(BROKEN[problem], orin)
    assert finding.rule == "tensorrt-10.3"
    assert problem in finding.reason


def test_a_finding_names_the_node_and_the_table_it_is_from(orin: Target) -> None:
    (finding,) = _findings(BROKEN["is not imported"], orin)
    assert finding.node == "Det -> y"
    assert "onnx-tensorrt/blob/" in finding.reason


def test_8_2_reads_int64_as_int32_and_wants_constant_weights(nano: Target) -> None:
    shapes = _graph(
        "s = Shape (x)  n = Slice (s, zero, one, zero)  t = Concat <axis = 0> (n, rest)"
        "  y = Expand (z, t)",
        constants="int64[1] zero = {0}, int64[1] one = {1}, int64[3] rest = {4, 8, 8},"
        " float[1] z = {0.0}",
        opset=13,
    )
    assert _findings(shapes, nano) == []
    computed = _graph("w = Relu (x)  y = Conv (x, w)", opset=13)
    assert [f.reason[:24] for f in _findings(computed, nano)] == ["needs a constant w (http"]


def test_8_2_has_no_layer_normalization(nano: Target, orin: Target) -> None:
    model = _graph("y = LayerNormalization (x, s)", constants="float[8] s = {1,1,1,1,1,1,1,1}")
    assert {f.reason.partition(" (")[0] for f in _findings(model, nano)} == {
        "newer than 13",
        "is not imported",
    }
    assert _findings(model, orin) == []


# --- INT8 ----------------------------------------------------------------------------------------


def _quantized(*, scale: str = "0.5", zero: str = "0", kind: str = "int8") -> onnx.ModelProto:
    return _graph(
        "q = QuantizeLinear (x, scale, zero)  y = DequantizeLinear (q, scale, zero)",
        constants=f"float scale = {{{scale}}}, {kind} zero = {{{zero}}}",
    )


def _convolution(axis: int) -> onnx.ModelProto:
    return _graph(
        f"w = DequantizeLinear <axis = {axis}> (codes, scales, zeros)  y = Conv (x, w)",
        constants="int8[4, 4, 1, 1] codes = {1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4},"
        " float[4] scales = {0.1, 0.2, 0.3, 0.4}, int8[4] zeros = {0, 0, 0, 0}",
    )


def test_symmetric_int8_is_taken(orin: Target, nano: Target) -> None:
    assert _findings(_quantized(), orin) == []
    assert _findings(_convolution(axis=0), orin) == []
    older = _convolution(axis=0)
    older.opset_import[0].version = 13
    assert _findings(older, nano) == [], "weights stored quantized are constants"


ASYMMETRIC = {
    "needs a zero point of 0": _quantized(zero="3"),
    "needs int8, not uint8": _quantized(kind="uint8"),
    "needs scales above zero": _quantized(scale="-0.5"),
    "needs a zero point: ONNX defaults": _graph(
        "q = QuantizeLinear (x, scale)  y = DequantizeLinear (q, scale)",
        constants="float scale = {0.5}",
    ),
    "needs a constant scale, not s": _graph(
        "s = ReduceMax <keepdims = 0> (x)  q = QuantizeLinear (x, s, zero)"
        "  y = DequantizeLinear (q, s, zero)",
        constants="int8 zero = {0}",
    ),
    "needs one scale for the whole tensor": _graph(
        "q = QuantizeLinear (x, scales, zeros)  y = DequantizeLinear (q, scales, zeros)",
        constants="float[4] scales = {0.1, 0.2, 0.3, 0.4}, int8[4] zeros = {0, 0, 0, 0}",
    ),
    "needs weight scales per output channel, axis 0, not 1": _convolution(axis=1),
}


@pytest.mark.parametrize("problem", ASYMMETRIC)
def test_other_forms_of_int8_are_reported(problem: str, orin: Target) -> None:
    found = [f.reason for f in _findings(ASYMMETRIC[problem], orin) if f.rule == "symmetric-int8"]
    assert any(reason.startswith(problem) for reason in found)
