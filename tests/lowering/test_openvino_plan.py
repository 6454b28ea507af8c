"""A graph planned in FP32 computes in FP32 on a BF16 target."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.catalog import target
from edgekit.records import NodePlan, OnnxGraph, PartPlan, Precision, Role, TensorSpec
from edgekit.runtime.opening import open_artifact
from edgekit.store import sha256_of

openvino = pytest.importorskip("openvino")
CAPABILITIES = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
pytestmark = pytest.mark.skipif(
    "BF16" not in CAPABILITIES, reason="this CPU has no BF16, so that the hint means nothing here"
)
HINT = "INFERENCE_PRECISION_HINT"
SHAPE = (1, 8, 16, 16)
GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
encoder (float[1, 8, 16, 16] x) => (float[1, 8, 16, 16] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w)
    r = Relu (a)
    b = Conv <pads = [1, 1, 1, 1]> (r, w)
    y = Relu (b)
}"""


@pytest.fixture
def lowered(tmp_path: Path):
    """The artifact of a graph with this precision in all nodes, or without a plan."""
    model = onnx.parser.parse_model(GRAPH)
    weight = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    specs = [TensorSpec(name=name, dtype="float32", shape=SHAPE) for name in "xy"]
    graph = OnnxGraph(
        opset=20,
        role=Role.ENCODER,
        path=path,
        sha256=sha256_of(path),
        inputs=(specs[0],),
        outputs=(specs[1],),
        ops={},
    )

    def lower(precision: Precision | None, *, ops: dict[str, int] | None = None, name="x86-bf16"):
        folder = tmp_path / f"{precision} {ops}"
        folder.mkdir()
        planned = dataclasses.replace(graph, ops=ops or {})
        if precision:
            line = NodePlan(node="a", operator="conv2d", block="", macs=1, precision=precision)
            planned = dataclasses.replace(planned, plan=PartPlan(role=Role.ENCODER, nodes=(line,)))
        return folder, lower(planned, target(name), folder)

    return lower


def test_results_are_those_of_the_plan(lowered) -> None:
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    results = {}
    for precision in (Precision.FP32, Precision.BF16):
        folder, artifact = lowered(precision)
        session = open_artifact(artifact, folder, target("x86-bf16"), threads=1)
        results[precision] = session.run({"x": x})["y"]
    (exact,) = ReferenceEvaluator(str(folder.parent / "graph.onnx")).run(None, {"x": x})
    assert artifact.options == {}
    np.testing.assert_allclose(results[Precision.FP32], exact, rtol=1e-4, atol=1e-4)
    assert np.abs(results[Precision.BF16] - exact).max() > 1e-2


@pytest.mark.parametrize(("ops", "options"), [({"QuantizeLinear": 1}, {}), ({}, {HINT: "f32"})])
def test_graph_without_codes_stays_float32_in_int8(lowered, ops, options) -> None:
    """A decoder under a recipe that codes the encoder only."""
    assert lowered(None, ops=ops, name="x86-int8")[1].options == options
