"""Make an artifact of typed ONNX, and its engine if TensorRT and a GPU are here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit.errors import GraphRejected
from edgekit.lowering.graph_files import copied_artifact
from edgekit.lowering.tensorrt.engine_build import engine_build
from edgekit.records import Artifact, EngineRecord, FileDigest, Graph, Target
from edgekit.runtimes.tensorrt import build_engine
from edgekit.runtimes.tensorrt.installation import Installation, installation_for
from edgekit.store import sha256_of


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Copy the typed graph, and build the engine if this machine can.

    Raises:
        BadInput: an option of the target is missing or malformed.
        GraphRejected: TensorRT cannot parse or build the graph.
    """
    artifact = copied_artifact(graph, folder)
    here = installation_for(target)
    if isinstance(here, Installation):
        return replace(artifact, engine=build(here, artifact, target, folder))
    return artifact


def build(here: Installation, artifact: Artifact, target: Target, folder: Path) -> EngineRecord:
    """Write `<role>.engine` into the folder.

    Raises:
        BadInput: an option of the target is missing or malformed.
        GraphRejected: TensorRT cannot parse or build the graph.
    """
    wanted = engine_build(artifact, target, folder)
    onnx, engine = folder / wanted.onnx, folder / wanted.engine
    try:
        build_engine.build(
            here.trt,
            build_engine.Settings(
                str(onnx),
                str(engine),
                wanted.workspace_mb,
                shapes=dict(wanted.shapes),
                fp32_nodes=wanted.fp32_nodes,
            ),
        )
    except build_engine.Failed as error:
        raise GraphRejected(
            f"TensorRT {here.version} does not build the {artifact.role}: {error}",
            expected="a graph that its parser and builder take",
        ) from error
    return EngineRecord(
        file=FileDigest(path=wanted.engine, sha256=sha256_of(engine), bytes=engine.stat().st_size),
        source_sha256=sha256_of(onnx),
        tensorrt=here.version,
        **here.gpu,
    )
