"""Graphs that a target's compiler or memory does not take are rejected before a build."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest

from edgekit import catalog
from edgekit.errors import GraphRejected
from edgekit.records import MemoryNeed, OnnxGraph, Role, Target, TensorSpec
from edgekit.stages.checks import checked_graphs, need_of, require_memory


@pytest.fixture
def nano() -> Target:
    """2048 MB, of which the builder may take 512; at most 4 prompts of 8 points."""
    return catalog.target("jetson-nano-fp16")


@pytest.fixture
def graph(tmp_path: Path) -> OnnxGraph:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[prompts, points, 2] coords) => (float[prompts, points, 2] y) {
            y = Relu (coords)
        }""")
    onnx.save(model, tmp_path / "decoder.onnx")
    coords = TensorSpec(name="coords", dtype="float32", shape=("prompts", "points", 2))
    return OnnxGraph(
        opset=20,
        role=Role.DECODER,
        path=tmp_path / "decoder.onnx",
        sha256="0" * 64,
        inputs=(coords,),
        outputs=(),
        ops={},
    )


def _needing(graph: OnnxGraph, megabytes: float) -> OnnxGraph:
    need = MemoryNeed(weights=0, activations=int(megabytes * 1e6), sizes={"prompts": 4})
    return dataclasses.replace(graph, memory=need)


def test_the_estimate_is_for_the_largest_sizes_of_the_options(
    graph: OnnxGraph, nano: Target
) -> None:
    need = need_of(graph, nano)
    assert need == MemoryNeed(
        weights=0, activations=2 * (4 * 8 * 2 * 4), sizes={"points": 8, "prompts": 4}
    )


def test_targets_that_leave_sizes_open_have_no_estimate(graph: OnnxGraph) -> None:
    assert need_of(graph, catalog.target("x86-fp32")) is None


def test_both_parts_and_the_workspace_count(graph: OnnxGraph, nano: Target) -> None:
    """The user of nanosam#18 would have read this instead of "Available: 2507MB"."""
    require_memory((_needing(graph, 1000), _needing(graph, 536)), nano)
    with pytest.raises(GraphRejected, match="need about 1537 MB at 4 prompts") as caught:
        require_memory((_needing(graph, 1000), _needing(graph, 537)), nano)
    assert "jetson-nano-fp16 has 2048 MB" in caught.value.what
    assert caught.value.next_step is not None
    assert "lower prompts or workspace_mb" in caught.value.next_step


def test_what_was_not_estimated_is_not_refused(graph: OnnxGraph, nano: Target) -> None:
    require_memory((graph, graph), nano)


@pytest.fixture
def orin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return catalog.target("jetson-fp16")


def test_an_operator_that_the_target_forbids_is_rejected(graph: OnnxGraph, orin: Target) -> None:
    picky = dataclasses.replace(orin, forbidden_ops={"Relu": "clip instead"})
    assert checked_graphs((graph,), orin)[0].memory == need_of(graph, orin)
    for _ in range(2):  # what has failed is not remembered
        with pytest.raises(GraphRejected, match=r"Relu -> .*clip instead"):
            checked_graphs((graph,), picky)


def test_graphs_that_have_passed_are_not_read_again(graph: OnnxGraph, orin: Target) -> None:
    first = checked_graphs((graph,), orin)
    graph.path.unlink()
    assert checked_graphs((graph,), orin) == first
    with pytest.raises(FileNotFoundError):
        checked_graphs((graph,), catalog.target("rtx3090-fp16"))
