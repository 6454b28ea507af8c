"""ONNX Runtime on the CPU: the artifact is the ONNX file itself."""

from __future__ import annotations

from pathlib import Path

from edgekit.backends.graph_files import copied
from edgekit.backends.installed import probe_package, require_runtime
from edgekit.backends.ort_session import OrtSession
from edgekit.records import (
    NATIVE,
    Artifact,
    Execution,
    Graph,
    Probe,
    Session,
    Target,
)

_PACKAGE = "onnxruntime"


def probe() -> Probe:
    """Whether ONNX Runtime is installed."""
    return probe_package(_PACKAGE)


def execution(_: Target) -> Execution:
    """It is the target's own runtime."""
    return NATIVE


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Copy the graph to `<role>.onnx`; what it holds is what the graph's record says."""
    require_runtime(_PACKAGE, target)
    files = copied(graph, folder)
    return Artifact(
        role=graph.role,
        format="onnx",
        entry=files[0].path,
        files=files,
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=graph.ops,
    )


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load `<role>.onnx` with all graph optimizations; `target.options` are session entries."""
    require_runtime(_PACKAGE, target)
    return OrtSession(folder / artifact.entry, artifact, threads=threads, entries=target.options)
