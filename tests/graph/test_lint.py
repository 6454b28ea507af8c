"""Each rule of the lint on the smallest graph that breaks it, and graphs that it must accept."""

from __future__ import annotations

import dataclasses

import onnx
import pytest

from edgekit.errors import GraphRejected
from edgekit.graph.lint import RULES, lint, reject_findings
from edgekit.records import Target


def _graph(body: str, *, constants: str = "", result: str = "float[a, b]") -> onnx.ModelProto:
    """Nodes from `x` (float [n, 4]) to `y`."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20, "com.example" : 1]>
        g (float[n, 4] x) => ({result} y) <{constants}> {{ {body} }}""")


BROKEN = {
    "no-onehot": _graph(
        "i = Cast <to = 6> (x)  y = OneHot (i, depth, values)",
        constants="int32 depth = {4}, float[2] values = {0.0, 1.0}",
        result="float[a, b, c]",
    ),
    "no-tile-of-shape": _graph("s = Shape (x)  y = Tile (x, s)"),
    "no-range": _graph(
        "r = Range (zero, four, one)  y = Add (x, r)",
        constants="float zero = {0.0}, float four = {4.0}, float one = {1.0}",
    ),
    "no-nonzero": _graph("i = NonZero (x)  y = Cast <to = 1> (i)"),
    "no-control-flow": _graph(
        "t = Cast <to = 9> (flag)  y = If (t) <"
        "then_branch = a () => (float[a, b] p) { p = Identity (x) },"
        "else_branch = b () => (float[a, b] q) { q = Neg (x) }>",
        constants="int32 flag = {1}",
    ),
    "no-mod": _graph("y = Mod <fmod = 1> (x, two)", constants="float two = {2.0}"),
    "no-int64-arithmetic": _graph(
        "s = Shape (x)  t = Add (s, one)  f = Flatten (x)  y = Expand (z, t)  ",
        constants="int64[1] one = {1}, float[1] z = {0.0}",
    ),
    "no-int64-data": _graph(
        "i = Cast <to = 7> (x)  y = Gather (table, i)",
        constants="float[2] table = {0.0, 1.0}",
    ),
    "no-float64": _graph("d = Cast <to = 11> (x)  e = Neg (d)  y = Cast <to = 1> (e)"),
    "rank": _graph(
        "y = Reshape (x, s)",
        constants="int64[6] s = {-1, 1, 1, 1, 1, 4}",
        result="float[a, 1, 1, 1, 1, 4]",
    ),
    "standard-operators": _graph("y = com.example.Magic (x)"),
}


def _ids(model: onnx.ModelProto, target: Target) -> set[str]:
    return {finding.rule for finding in lint(model, target)}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_finds_its_breach(rule: str, target: Target) -> None:
    assert rule in _ids(BROKEN[rule], target)


def test_every_rule_has_a_broken_graph_and_a_reason() -> None:
    assert {rule.id for rule in RULES} == {*BROKEN, "known-rank"}
    assert all(len(rule.reason) > 20 for rule in RULES)


def test_a_tensor_of_unknown_rank_is_a_finding(target: Target) -> None:
    """A Reshape to a shape of unknown length has no known rank; only foreign operators cause it."""
    model = _graph("m = com.example.Magic (x)  y = Relu (m)")
    places = [f.node for f in lint(model, target) if f.rule == "known-rank"]
    assert any("Magic" in place for place in places)


ACCEPTED = {
    "plain": _graph("y = Relu (x)"),
    "constant tile": _graph("y = Tile (x, r)", constants="int64[2] r = {1, 2}"),
    "constant indices": _graph(
        "y = Gather (x, i)", constants="int64[2] i = {0, 1}", result="float[2, 4]"
    ),
    "indices in a Constant": _graph(
        "i = Constant <value = int64[2] {0, 1}> ()  y = Gather <axis = 1> (x, i)"
    ),
    "expand to the batch": _graph(
        "n = Shape <start = 0, end = 1> (x)  s = Concat <axis = 0> (n, four)  y = Expand (z, s)",
        constants="int64[1] four = {4}, float[1, 4] z = {1.0, 2.0, 3.0, 4.0}",
    ),
    "reshape to a gathered size": _graph(
        "s = Shape (x)  n = Gather (s, i)  t = Concat <axis = 0> (n, four)  y = Reshape (x, t)",
        constants="int64[1] i = {0}, int64[1] four = {4}",
    ),
    "reduction over constant axes": _graph(
        "y = ReduceSum (x, axes)", constants="int64[1] axes = {1}", result="float[a, 1]"
    ),
    "int32 arithmetic": _graph("i = Cast <to = 6> (x)  j = Add (i, i)  y = Cast <to = 1> (j)"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_compilers_take_is_accepted(name: str, target: Target) -> None:
    assert lint(ACCEPTED[name], target) == ()


def test_a_dimension_that_becomes_data_is_a_finding(target: Target) -> None:
    model = _graph("s = Shape (x)  f = Cast <to = 1> (s)  y = Mul (x, f)")
    assert _ids(model, target) == {"no-int64-data"}


def test_int64_data_in_an_operator_that_takes_shapes_is_still_data(target: Target) -> None:
    model = _graph(
        "i = Cast <to = 7> (x)  e = Expand (i, shape)  y = Cast <to = 1> (e)",
        constants="int64[2] shape = {1, 4}",
    )
    places = {finding.node for finding in lint(model, target)}
    assert "Cast -> i (read by Expand -> e)" in places


def test_an_int64_output_is_a_finding(target: Target) -> None:
    model = _graph("y = Shape (x)", result="int64[2]")
    assert _ids(model, target) == {"no-int64-data"}


def test_the_targets_own_forbidden_operators_carry_its_reason(target: Target) -> None:
    picky = dataclasses.replace(target, forbidden_ops={"Relu": "a test has no Relu"})
    (finding,) = lint(ACCEPTED["plain"], picky)
    assert (finding.rule, finding.reason) == ("forbidden-by-bench", "a test has no Relu")
    assert finding.node == "Relu -> y"


def test_all_findings_are_listed_in_one_error(target: Target) -> None:
    findings = lint(BROKEN["no-onehot"], target) + lint(BROKEN["no-range"], target)
    with pytest.raises(GraphRejected) as caught:
        reject_findings(findings, graph="decoder")
    for finding in findings:
        assert finding.rule in str(caught.value)
        assert finding.reason in str(caught.value)
    reject_findings((), graph="decoder")
