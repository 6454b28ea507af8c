"""Stand-in for TensorRT: ONNX Runtime on the CPU runs the typed ONNX, rounded by its types."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import RuntimeMissing
from edgekit.records import Artifact, Probe, Session, Target
from edgekit.runtimes.installed import probe_row
from edgekit.runtimes.ort_session import OrtSession, unreadable

DESCRIPTION = "the typed ONNX ran on the CPU, and each result was rounded to its type"

_STAND_IN = runtime_row("onnxruntime")


def probe() -> Probe:
    """Whether ONNX Runtime, which computes, and onnx, which makes the twin, are installed."""
    found = probe_row(_STAND_IN)
    if not found.available:
        return found
    if find_spec("onnx") is None:
        return Probe(available=False, reason="package onnx is not installed")
    return Probe(available=True, version=f"{_STAND_IN.title} {found.version}")


def open_artifact(
    artifact: Artifact,
    folder: Path,
    target: Target,  # noqa: ARG001  typed ONNX serves every TensorRT
    *,
    threads: int | None,
) -> Session:
    """Load `<role>.onnx` as its rounding twin.

    Raises:
        RuntimeMissing: onnx is not installed.
        BundleCorrupt: the file is not valid ONNX.
    """
    try:
        from edgekit.emulation.rounding_twin import rounding_twin
    except ImportError as error:
        raise RuntimeMissing(
            "TensorRT is emulated with the packages onnx and onnxruntime; onnx is missing.",
            next_step="pip install 'edgekit[onnxruntime,export]'",
        ) from error
    try:
        twin = rounding_twin(folder / artifact.entry)
    except Exception as error:  # protobuf's and the ONNX checker's share no base class
        raise unreadable(artifact, error) from error
    return OrtSession(twin, artifact, threads=threads, entries={})
