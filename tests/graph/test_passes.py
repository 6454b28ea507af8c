"""The table of passes: order, conditions, and failures that name the pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from edgekit import catalog
from edgekit.errors import GraphRejected
from edgekit.graph.passes.table import PASSES, Pass, PassContext, run_passes
from edgekit.program.capture import Program
from edgekit.records import Role, Target, TensorSpec


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>'
        " g (float[2] x) => (float[2] y) { h = Relu (x)  y = Relu (h) }"
    )


@pytest.fixture
def context(target: Target, tmp_path: Path) -> PassContext:
    spec = TensorSpec(name="x", dtype="float32", shape=(2,))
    program = Program(
        role=Role.ENCODER, exported=None, inputs=(spec,), outputs=(replace(spec, name="y"),)
    )
    return PassContext(program=program, target=target, weights={}, data=tmp_path / "data")


def test_names_are_unique() -> None:
    names = [each.name for each in PASSES]
    assert len(set(names)) == len(names)


def test_each_pass_applies_to_the_targets_that_need_it(model: onnx.ModelProto) -> None:
    coded = onnx.ModelProto()
    coded.CopyFrom(model)
    coded.graph.node[0].op_type = "QuantizeLinear"

    def applied(name: str, graph: onnx.ModelProto = model) -> set[str]:
        target = catalog.target(name)
        return {each.name for each in PASSES if each.applies(target, graph)}

    always = applied("x86-fp32")
    assert always.isdisjoint({"opset-13", "half-weights"})
    assert applied("jetson-nano-fp16") == always | {"opset-13"}
    assert applied("x86-ort-int8") == always
    assert applied("x86-ort-int8", coded) == always | {"coded-bias", "half-weights"}
    assert applied("jetson-int8", coded) == always


def test_passes_run_in_order_and_only_where_they_apply(
    model: onnx.ModelProto, context: PassContext
) -> None:
    ran = []

    def recorder(name: str, *, applies: bool = True) -> Pass:
        def rewrite(model: onnx.ModelProto, _: PassContext) -> onnx.ModelProto:
            ran.append(name)
            return model

        return Pass(name=name, rewrite=rewrite, applies=lambda *_: applies)

    run_passes(model, context, [recorder("a"), recorder("b", applies=False), recorder("c")])
    assert ran == ["a", "c"]


def test_a_requirement_that_does_not_hold_names_the_pass(
    model: onnx.ModelProto, context: PassContext
) -> None:
    with pytest.raises(
        GraphRejected, match=r"constant-reshape on the encoder: .* no shape annotations"
    ):
        run_passes(model, context)


def test_a_rejected_graph_names_the_pass(model: onnx.ModelProto, context: PassContext) -> None:
    (naming,) = (each for each in PASSES if each.name == "name-dimensions")
    model.graph.input[0].name = "z"
    with pytest.raises(GraphRejected, match=r"name-dimensions on the encoder: .* inputs are z"):
        run_passes(model, context, [naming])


def test_a_broken_promise_is_a_bug_and_names_the_pass(
    model: onnx.ModelProto, context: PassContext
) -> None:
    broken = Pass(name="broken", rewrite=lambda m, _: m, ensures=lambda _: "nothing changed")
    with pytest.raises(RuntimeError, match="broken on the encoder left a graph in which nothing"):
        run_passes(model, context, [broken])


def test_any_other_failure_names_the_pass(model: onnx.ModelProto, context: PassContext) -> None:
    def rewrite(*_: object) -> onnx.ModelProto:
        raise KeyError("x")

    with pytest.raises(RuntimeError, match="failing on the encoder failed"):
        run_passes(model, context, [Pass(name="failing", rewrite=rewrite)])
