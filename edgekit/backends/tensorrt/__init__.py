"""TensorRT: the artifact is typed ONNX, from which an engine is built on the device itself.

An engine fits the GPU and the version that it was built on, so a bundle ships what every 10.x and
11.x builds from: ONNX whose types say the precision of each operator, and a build.sh. Where
TensorRT and a GPU are at hand the engine is built at once, and it is what a session runs. Where
they are not, a session is an emulation of the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit.backends.graph_files import copied
from edgekit.backends.installed import probe_package
from edgekit.backends.ort_session import OrtSession, unreadable
from edgekit.backends.tensorrt.installation import Installation, find_installation
from edgekit.errors import RuntimeMissing
from edgekit.records import (
    NATIVE,
    Artifact,
    Execution,
    Graph,
    Probe,
    Session,
    Target,
)

_STAND_IN = "onnxruntime"


def probe() -> Probe:
    """TensorRT and the GPU that it runs on, or the stand-in."""
    here = find_installation()
    if isinstance(here, Installation):
        return Probe(available=True, version=f"{here.version} on {here.gpu['gpu']}")
    return probe_package(_STAND_IN)


def execution(target: Target) -> Execution:
    """Native where a TensorRT that the target is for and a GPU are; emulated elsewhere."""
    here = _serving(target)
    if isinstance(here, Installation):
        return NATIVE
    return Execution(
        how="emulated",
        reason=f"{here}: engines are built on the device; here the typed ONNX ran on the CPU, each "
        "result rounded to its type",
    )


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Copy the typed graph, and build the engine if that is possible here.

    Raises:
        BadInput: an option of the target is missing or not of its form.
        GraphRejected: TensorRT does not take the graph.
    """
    files = copied(graph, folder)
    artifact = Artifact(
        role=graph.role,
        format="onnx",
        entry=files[0].path,
        files=files,
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=graph.ops,
    )
    here = _serving(target)
    if isinstance(here, Installation):
        return replace(artifact, engine=here.build(artifact, target, folder))
    return artifact


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load the engine where TensorRT and a GPU are, else emulate `<role>.onnx` (`emulation`).

    Raises:
        RuntimeMissing: there is no engine yet, or none for this machine; how to build it is said.
    """
    here = _serving(target)
    if isinstance(here, Installation):
        return here.open(artifact, folder)
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


def _serving(target: Target) -> Installation | str:
    """What is here for this target, or what is missing."""
    here = find_installation()
    if isinstance(here, Installation) and not here.serves(target):
        return f"TensorRT {here.version} is not {target.runtime_versions}"
    return here
