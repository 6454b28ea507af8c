"""What a plan leaves in FP32 computes in FP32 on a BF16 target."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.catalog import target
from edgekit.lowering import lowering
from edgekit.records import (
    Artifact,
    NodePlan,
    OnnxGraph,
    PartPlan,
    Precision,
    Role,
    TensorSpec,
)
from edgekit.runtime.opening import open_artifact
from edgekit.store import sha256_of

openvino = pytest.importorskip("openvino")
CAPABILITIES = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
natively = pytest.mark.skipif(
    "BF16" not in CAPABILITIES, reason="this CPU has no BF16, so that the hint means nothing here"
)
BF16 = "x86-bf16"
HINT = "INFERENCE_PRECISION_HINT"
CONVOLUTIONS = """
<ir_version: 10, opset_import: ["" : 20]>
encoder (float[1, 8, 16, 16] x) => (float[1, 8, 16, 16] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w)
    r = Relu (a)
    b = Conv <pads = [1, 1, 1, 1]> (r, w)
    y = Relu (b)
}"""
PHASES = """
<ir_version: 10, opset_import: ["" : 20]>
decoder (float[n, 2] x) => (float[n, 8] y)
<float half = {0.5}, float frame = {1024}, float two = {2}, float one = {1},
 float[1, 2] rows = {23.9, -48.2}, float[1, 2] columns = {-35.1, 59.3}> {
    centred = Add (x, half)
    share = Div (centred, frame)
    doubled = Mul (share, two)
    place = Sub (doubled, one)
    across, down = Split <axis = 1, num_outputs = 2> (place)
    right = Mul (across, rows)
    below = Mul (down, columns)
    phase = Add (right, below)
    sine = Sin (phase)
    cosine = Cos (phase)
    both = Concat <axis = 1> (sine, cosine)
    y = MatMul (both, w)
}"""
SHAPES = {CONVOLUTIONS: (8, 8, 3, 3), PHASES: (4, 8)}


@pytest.fixture
def lowered(tmp_path: Path):
    """The artifact of a graph with this precision in all nodes, or without a plan."""

    def lower(
        text: str, precision: Precision | None, *, ops: dict[str, int] | None = None, name=BF16
    ) -> tuple[Path, Artifact]:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        graph = dataclasses.replace(_graph(text, tmp_path), ops=ops or {})
        if precision:
            line = NodePlan(node="a", operator="conv2d", block="", macs=1, precision=precision)
            graph = dataclasses.replace(graph, plan=PartPlan(role=graph.role, nodes=(line,)))
        return folder, lowering(target(name)).lower(graph, target(name), folder)

    return lower


def _graph(text: str, folder: Path) -> OnnxGraph:
    model = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).standard_normal(SHAPES[text]).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    path = folder / "graph.onnx"
    onnx.save(model, path)
    specs = [_spec(value) for value in (*model.graph.input, *model.graph.output)]
    return OnnxGraph(
        opset=20,
        role=Role(model.graph.name),
        path=path,
        sha256=sha256_of(path),
        inputs=(specs[0],),
        outputs=(specs[1],),
        ops={},
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    shape = tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
    return TensorSpec(name=value.name, dtype="float32", shape=shape)


def _run(folder: Path, artifact: Artifact, x) -> np.ndarray:
    return open_artifact(artifact, folder, target(BF16), threads=1).run({"x": x})["y"]


def _exact(folder: Path, x) -> np.ndarray:
    (exact,) = ReferenceEvaluator(str(folder.parent / "graph.onnx")).run(None, {"x": x})
    return exact


def _marked(folder: Path, artifact: Artifact) -> list[str]:
    layers = ET.parse(folder / artifact.entry).iterfind("layers/layer")
    return sorted(
        str(layer.get("type"))
        for layer in layers
        if layer.find("rt_info/attribute[@name='precise']") is not None
    )


@natively
def test_results_are_those_of_the_plan(lowered) -> None:
    x = np.random.default_rng(1).standard_normal((1, 8, 16, 16)).astype(np.float32)
    folder, artifact = lowered(CONVOLUTIONS, Precision.FP32)
    np.testing.assert_allclose(_run(folder, artifact, x), _exact(folder, x), rtol=1e-4, atol=1e-4)
    folder, artifact = lowered(CONVOLUTIONS, Precision.BF16)
    assert artifact.options == {}
    assert np.abs(_run(folder, artifact, x) - _exact(folder, x)).max() > 1e-2


@pytest.mark.parametrize(
    ("ops", "precision", "options"),
    [
        ({"QuantizeLinear": 1}, None, {}),
        ({}, None, {HINT: "f32"}),
        ({}, Precision.BF16, {}),
    ],
)
def test_graph_without_codes_or_bf16_stays_float32_in_int8(
    lowered, ops, precision, options
) -> None:
    """A decoder under a recipe that codes the encoder only."""
    assert lowered(CONVOLUTIONS, precision, ops=ops, name="x86-int8")[1].options == options


@pytest.mark.parametrize(
    ("text", "precision", "marked"),
    [
        (
            PHASES,
            Precision.BF16,
            ["Add", "Add", "Cos", "Multiply", "Multiply", "Multiply", "Sin", "Split"],
        ),
        (PHASES, Precision.FP32, []),  # the option says it
        (CONVOLUTIONS, Precision.BF16, []),
    ],
)
def test_waves_and_their_phases_are_marked(lowered, text, precision, marked) -> None:
    assert _marked(*lowered(text, precision)) == marked


def test_a_marked_graph_computes_the_same_and_repeats(lowered) -> None:
    x = np.random.default_rng(1).uniform(0, 1024, (5, 2)).astype(np.float32)
    folder, artifact = lowered(PHASES, Precision.BF16)
    # 8 bits of 2048 pixels are 4 to 8 pixels, 0.1 of a phase; those of a sine are 0.002.
    np.testing.assert_allclose(_run(folder, artifact, x), _exact(folder, x), atol=0.02)
    assert lowered(PHASES, Precision.BF16)[1] == artifact
