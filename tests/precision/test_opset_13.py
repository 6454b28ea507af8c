"""SAM's own decoder in float16, rewritten in opset 13 for TensorRT 8.2, gives the same masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgekit import catalog
from edgekit.emulation import tensorrt
from edgekit.graph.export import lower_to_onnx
from edgekit.graph.lint import lint
from edgekit.graph.passes.opset_13 import opset_13
from edgekit.models.sam.decoder import SamDecoder
from edgekit.precision.apply.casts import apply_casts
from edgekit.precision.decide.fp16 import plan_with_islands
from edgekit.program.capture import Program
from edgekit.records import Artifact, Graph, Role, Session
from tests.models.exported import captured

pytestmark = pytest.mark.slow

GRID = 4
ISLANDS = {f"layer_norm_{index}": "a test" for index in (1, 3, 11)}


@pytest.fixture(scope="module")
def decoder() -> Program:
    """256 channels on a grid of 4 x 4, which gives masks of 16 x 16."""
    torch.manual_seed(0)
    module = SamDecoder(frame=16 * GRID, grid=GRID).eval()
    return captured(module, frame=16 * GRID)


@pytest.fixture(scope="module")
def graph(decoder: Program, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The typed graph of jetson-fp16 in opset 20, with three layer norms as islands."""
    typed = apply_casts(decoder, plan_with_islands(decoder, ISLANDS))
    return lower_to_onnx(
        typed, catalog.target("jetson-fp16"), folder=tmp_path_factory.mktemp("typed")
    )


@pytest.fixture(scope="module")
def older(graph: Graph) -> onnx.ModelProto:
    return opset_13(onnx.load(graph.path))


def test_it_is_sound_and_8_2_takes_it(older: onnx.ModelProto) -> None:
    onnx.checker.check_model(older, full_check=True)
    assert lint(older, catalog.target("jetson-nano-fp16")) == ()


def test_layer_norms_are_computed_in_float32(older: onnx.ModelProto, graph: Graph) -> None:
    inferred = onnx.shape_inference.infer_shapes(older).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    means = [
        node
        for node in older.graph.node
        if node.op_type == "ReduceMean" and "layer_norm" in node.output[0]
    ]
    assert len(means) == 2 * graph.ops["LayerNormalization"] == 20
    assert {types[node.output[0]] for node in means} == {onnx.TensorProto.FLOAT}
    products = [types[node.output[0]] for node in older.graph.node if node.op_type == "MatMul"]
    assert set(products) == {onnx.TensorProto.FLOAT16}


def _emulated(folder: Path, graph: Graph) -> Session:
    """A session as `verify` opens it off the device."""
    artifact = Artifact(
        role=Role.DECODER,
        format="onnx",
        entry="decoder.onnx",
        files=(),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops={},
    )
    return tensorrt.open_artifact(artifact, folder, catalog.target("jetson-fp16"), threads=2)


def _maps(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Those of a random image embedding."""
    torch.manual_seed(0)
    side = SamDecoder(frame=16 * GRID, grid=GRID).exported_form().photo_side()
    image = torch.from_numpy(random.standard_normal((1, 256, GRID, GRID), np.float32))
    with torch.no_grad():
        return dict(zip(side.names, (m.numpy() for m in side(image)), strict=True))


def test_it_computes_the_same_for_any_prompts(
    older: onnx.ModelProto, graph: Graph, tmp_path: Path
) -> None:
    onnx.save(older, tmp_path / "decoder.onnx")
    newer_session = _emulated(graph.path.parent, graph)
    older_session = _emulated(tmp_path, graph)
    for prompts, points in ((1, 1), (2, 5), (4, 3)):
        random = np.random.default_rng(prompts)
        feeds = {
            "point_coords": random.random((prompts, points, 2), np.float32) * 16 * GRID,
            "point_labels": random.integers(-2, 4, (prompts, points)).astype(np.float32),
            "mask_input": random.standard_normal((1, 1, 16, 16), np.float32),
            "has_mask_input": np.array([prompts % 2], np.float32),
        } | _maps(random)
        want, got = newer_session.run(feeds), older_session.run(feeds)
        for name in want:
            # A layer norm rounds to float16 once as an operator, three times in parts.
            limit = 4e-3 * np.abs(want[name]).max()
            np.testing.assert_allclose(got[name], want[name], rtol=0, atol=limit, err_msg=name)
