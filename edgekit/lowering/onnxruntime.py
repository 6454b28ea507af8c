"""For ONNX Runtime: the artifact is the ONNX graph itself."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog.runtimes import runtime_row
from edgekit.lowering.graph_files import copied_artifact
from edgekit.records import Artifact, Graph, Target
from edgekit.runtimes.installed import require_runtime

_ROW = runtime_row("onnxruntime")


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Copy the graph to `<role>.onnx`."""
    require_runtime(_ROW, target)
    return copied_artifact(graph, folder)
