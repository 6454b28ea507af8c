"""For runtimes whose artifact is the ONNX graph itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.records import FileDigest, Graph
from edgekit.store import digest_file


def copied(graph: Graph, folder: Path) -> tuple[FileDigest, ...]:
    """Copy `<role>.onnx`, and the weights beside it if one file cannot hold them; entry first.

    The name of the weights is written in the graph, so that both must stay in one folder.
    """
    names = {graph.path: f"{graph.role}.onnx"}
    if graph.weights:
        names[graph.weights] = graph.weights.name
    for source, name in names.items():
        shutil.copyfile(source, folder / name)
    return tuple(digest_file(folder / name, folder) for name in names.values())
