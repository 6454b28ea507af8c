"""The table of a decoder's nodes: what each depends on, and which part it belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="the parts are those of the captured program")

DECODER = """
    <ir_version: 10, opset_import: ["" : 20]>
    g (float[1, 4] photo, float[1, 4] mask_input, float[n, 4] point_coords) => (float[n, 4] masks)
    <float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}> {
        [keys] keys = MatMul (photo, w)
        [edges] edges = Sigmoid (mask_input)
        [image] image = Mul (keys, edges)
        [added] added = MatMul (point_coords, w)
        [scores] scores = Mul (added, image)
        [masks] masks = Softmax (scores)
    }"""
PARTS = {"keys": "first", "added": "second", "scores": "second"}


def test_every_node_is_timed_and_placed(tmp_path: Path) -> None:
    from tests.benchmarks.decoder_nodes import profiled

    path = tmp_path / "decoder.onnx"
    onnx.save(onnx.parser.parse_model(DECODER), path)
    feeds = {name: np.ones((1, 4), np.float32) for name in ("photo", "mask_input", "point_coords")}
    nodes = profiled(path, feeds, part_of=PARTS, threads=1, rounds=2)
    placed = {(node.operator, node.depends, node.part) for node in nodes}
    assert placed == {
        ("MatMul", "photo alone", "first"),
        ("Sigmoid", "mask prompt", "second"),
        ("Mul", "mask prompt", "second"),
        ("MatMul", "points", "second"),
        ("Mul", "points", "second"),
        ("Softmax", "points", "second"),
    }
    assert all(node.milliseconds >= 0 for node in nodes)


def test_a_nodes_time_is_its_median_without_the_first_runs() -> None:
    from tests.benchmarks.decoder_nodes import WARM_UP, milliseconds_of

    durations = [9000] * WARM_UP + [1000, 5000, 2000]
    events = [
        {"cat": "Session", "name": "model_run", "dur": 1},
        *({"cat": "Node", "name": "add_kernel_time", "dur": duration} for duration in durations),
    ]
    assert milliseconds_of(events) == {"add": 2.0}


def test_groups_are_listed_longest_first() -> None:
    from tests.benchmarks.decoder_nodes import Node, grouped

    nodes = [
        Node(operator=operator, part="", depends="points", milliseconds=milliseconds)
        for operator, milliseconds in (("Add", 1.0), ("MatMul", 5.0), ("Add", 2.0))
    ]
    assert grouped(nodes, "operator") == [
        {"name": "MatMul", "nodes": 1, "ms": 5.0},
        {"name": "Add", "nodes": 2, "ms": 3.0},
    ]
