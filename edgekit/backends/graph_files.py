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
    sources = [graph.path, *([graph.weights] if graph.weights else [])]
    for source in sources:
        shutil.copyfile(source, folder / source.name)
    return tuple(digest_file(folder / source.name, folder) for source in sources)
