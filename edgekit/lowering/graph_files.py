"""For runtimes whose artifact is the ONNX graph itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.records import Artifact, Graph, OnnxGraph
from edgekit.store import digest_file


def copied_artifact(graph: Graph, folder: Path) -> Artifact:
    """Copy `<role>.onnx` and its file of external weights, if there is one.

    The graph names the file of weights, so both must stay in one folder.
    """
    assert isinstance(graph, OnnxGraph)  # the runtime's row takes ONNX
    names = {graph.path: f"{graph.role}.onnx"}
    if graph.weights:
        names[graph.weights] = graph.weights.name
    for source, name in names.items():
        shutil.copyfile(source, folder / name)
    files = tuple(digest_file(folder / name, folder) for name in names.values())
    return Artifact(
        role=graph.role,
        format="onnx",
        entry=files[0].path,
        files=files,
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=graph.ops,
    )
