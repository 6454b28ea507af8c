"""ONNX Runtime on the CPU: the artifact is an ONNX file."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog.runtimes import runtime_row
from edgekit.records import Artifact, Execution, Probe, Session, Target
from edgekit.runtimes.external_data import require_listed_data
from edgekit.runtimes.installed import native_if, probe_row, require_runtime
from edgekit.runtimes.ort_session import OrtSession

_ROW = runtime_row("onnxruntime")


def probe() -> Probe:
    """Whether ONNX Runtime is installed."""
    return probe_row(_ROW)


def execution(_: Target) -> Execution:
    """Native if ONNX Runtime is installed."""
    return native_if(probe())


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load `<role>.onnx` with all graph optimizations; `target.options` are session entries."""
    require_runtime(_ROW, target)
    require_listed_data(artifact, folder)
    return OrtSession(folder / artifact.entry, artifact, threads=threads, entries=target.options)
