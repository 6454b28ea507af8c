"""A model whose weights do not fit into one file, with a limit low enough for a small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.graph.export import lower_to_onnx
from edgekit.graph.memory import memory_need
from edgekit.graph.passes import external_weights
from edgekit.lowering.graph_files import copied_artifact
from edgekit.program.capture import capture_encoder
from edgekit.records import Graph, Target
from edgekit.runtimes import onnxruntime


class Encoder(nn.Module):
    """A convolution, a linear layer (whose weight is transposed on the way) and a table."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.linear = nn.Linear(16, 32)
        self.table = nn.Parameter(scale * torch.randn(1, 2, 2, 32))

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).permute(0, 2, 3, 1)
        return (F.gelu(self.linear(x)) + self.table).permute(0, 3, 1, 2)


def lowered(encoder: nn.Module, target: Target, folder: Path) -> Graph:
    folder.mkdir()
    return lower_to_onnx(capture_encoder(encoder.eval(), frame=16), target, folder=folder)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_weights, "LIMIT", 1000)
    monkeypatch.setattr(external_weights, "LIGHT", 400)


def run(graph: Graph, image: np.ndarray) -> np.ndarray:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@pytest.mark.slow
def test_weights_go_to_a_file_beside_the_model(
    target: Target, tmp_path: Path, small_limit: None
) -> None:
    encoder = Encoder()
    graph = lowered(encoder, target, tmp_path / "heavy")
    assert graph.weights == graph.path.with_name("encoder.onnx.data")
    model = onnx.load(graph.path, load_external_data=False)
    beside = [t.name for t in model.graph.initializer if t.data_location]
    assert len(beside) == 3
    assert [value.name for value in model.graph.input] == ["image"]
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 16), np.float32)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(run(graph, image), expected, atol=1e-5)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    session = onnxruntime.open_artifact(copied_artifact(graph, bundle), bundle, target, threads=1)
    np.testing.assert_allclose(*session.run({"image": image}).values(), expected, atol=1e-5)


@pytest.mark.slow
def test_the_graph_is_the_one_of_a_single_file(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lowered(Encoder(), target, tmp_path / "whole")
    assert whole.weights is None
    monkeypatch.setattr(external_weights, "LIMIT", 1000)
    monkeypatch.setattr(external_weights, "LIGHT", 400)
    heavy = lowered(Encoder(), target, tmp_path / "heavy")
    assert heavy.ops == whole.ops
    needs = [
        memory_need(onnx.load(graph.path, load_external_data=False), {}) for graph in (whole, heavy)
    ]
    assert needs[0] == needs[1]


@pytest.mark.slow
def test_other_weights_are_another_model(target: Target, tmp_path: Path, small_limit: None) -> None:
    """The cache knows a graph by the digest of its .onnx file alone."""
    graphs = [
        lowered(Encoder(scale), target, tmp_path / name)
        for name, scale in (("a", 1.0), ("b", 1.0), ("c", 2.0))
    ]
    assert graphs[0].sha256 == graphs[1].sha256 != graphs[2].sha256


@pytest.mark.slow
def test_both_files_travel_with_the_artifact(
    target: Target, tmp_path: Path, small_limit: None
) -> None:
    graph = lowered(Encoder(), target, tmp_path / "heavy")
    (tmp_path / "out").mkdir()
    files = copied_artifact(graph, tmp_path / "out").files
    assert [file.path for file in files] == ["encoder.onnx", "encoder.onnx.data"]
    assert (tmp_path / "out" / "encoder.onnx.data").stat().st_size == files[1].bytes
