"""TensorRT: the artifact is typed ONNX, from which an engine is built on the device itself.

An engine fits the GPU and the version that it was built on, so a bundle ships what every 10.x and
11.x builds from: ONNX whose types say the precision of each operator. Where there is no TensorRT,
a session is an emulation of that file.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.backends.installed import probe_package
from edgekit.backends.ort_session import OrtSession, unreadable
from edgekit.errors import RuntimeMissing
from edgekit.records import (
    Artifact,
    Execution,
    Graph,
    Probe,
    Session,
    Target,
)
from edgekit.store import digest_file

_STAND_IN = "onnxruntime"


def probe() -> Probe:
    """Whether typed ONNX can be emulated, by which stand-in: TensorRT is the device's affair."""
    return probe_package(_STAND_IN)


def execution(_: Target) -> Execution:
    """Emulated: engines are built on the device."""
    return Execution(
        how="emulated",
        reason="TensorRT engines are built on the device; here the typed ONNX ran on the CPU, each "
        "result rounded to its type",
    )


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:  # noqa: ARG001 - the Protocol's
    """Copy the typed graph to `<role>.onnx`."""
    path = folder / f"{graph.role}.onnx"
    shutil.copyfile(graph.path, path)
    return Artifact(
        role=graph.role,
        format="onnx",
        entry=path.name,
        files=(digest_file(path, folder),),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=graph.ops,
    )


def open_artifact(
    artifact: Artifact,
    folder: Path,
    target: Target,  # noqa: ARG001 - its options are the engine's
    *,
    threads: int | None,
) -> Session:
    """Emulate `<role>.onnx` (see `emulation`)."""
    if not probe().available:
        raise RuntimeMissing(
            "TensorRT artifacts are emulated by onnxruntime, which is not installed.",
            next_step="pip install 'edgekit[onnxruntime,export]'",
        )
    from edgekit.backends.emulation import rounding_twin

    try:
        twin = rounding_twin(folder / artifact.entry)
    except Exception as error:  # of protobuf and of ONNX's checker: no common base
        raise unreadable(artifact, error) from error
    return OrtSession(twin, artifact, threads=threads, entries={})
