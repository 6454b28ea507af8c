"""coremltools at work: an ExportedProgram to a saved `.mlpackage` in the planned precision.

Imports torch and is itself imported inside `lower` only.

The program stays float32, and coremltools' own pass makes it FP16, but for the nodes that the plan
keeps in FP32. Integer codes it finds in the program (weights folded, iOS 18). A program whose types
say FP16, as other runtimes get it, its converter does not take: it makes an FP32 epsilon for a
layer norm of FP16 (coremltools 9.0).
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.catalog.options import option
from edgekit.lowering.coreml.description import describe
from edgekit.records import Graph, PartPlan, Precision, Target
from edgekit.runtimes.quiet import quiet_coremltools

if TYPE_CHECKING:
    from coremltools.converters.mil.mil import Operation

_OLDEST_SYSTEM = "minimum_deployment_target"
_MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")
_DEBUG_FILE = "executorch_debug_handle_mapping.json"
_DATED = "com.github.apple.coremltools.conversion_date"


def write_package(graph: Graph, target: Target, path: Path) -> None:
    """Convert a static program and save it. The same program and converter give the same bytes.

    Args:
        graph: its file, names of results, plan, and what to describe.
        target: for its precision and the oldest system.
        path: of the package, a folder that does not exist.

    Raises:
        Exception: of any class: the converter has none of its own.
    """
    with quiet_coremltools() as coremltools:
        program = torch.export.load(graph.path).run_decompositions({})
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            outputs=[
                coremltools.TensorType(name=spec.name, dtype=np.float32) for spec in graph.outputs
            ],
            minimum_deployment_target=coremltools.target[option(target, _OLDEST_SYSTEM)],
            compute_precision=_precision(coremltools, program, graph, target),
            skip_model_load=True,
        )
        model.save(str(path))
    _describe_and_make_repeatable(path, graph)


def _precision(
    coremltools: ModuleType, program: ExportedProgram, graph: Graph, target: Target
) -> object:
    if target.precision is Precision.FP32:
        return coremltools.precision.FLOAT32
    if graph.plan is None:  # as INT8 has it: the codes are in the program, the rest becomes FP16
        return coremltools.precision.FLOAT16
    from coremltools.converters.mil.mil.scope import ScopeSource

    kept = _marked(program, nodes_in_fp32(program, graph.plan))

    def becomes_fp16(operation: Operation) -> bool:
        origins = operation.scopes.get(ScopeSource.EXIR_DEBUG_HANDLE) or ()
        return kept.isdisjoint(origins)

    return coremltools.transform.FP16ComputePrecision(op_selector=becomes_fp16)


def nodes_in_fp32(program: ExportedProgram, plan: PartPlan) -> set[fx.Node]:
    """The planned FP32 nodes of a decomposed program, and those that only move their results.

    A node that has no line moves numbers, or makes none: it follows what it reads. The program's
    inputs are float32, so that coordinates in pixels reach the first node of an island exactly.
    """
    planned = {line.node: line.precision for line in plan.nodes}
    inputs = set(program.graph_signature.user_inputs)
    kept: set[fx.Node] = set()
    for node in program.graph.nodes:
        precision = planned.get(_captured_name(node))
        follows = precision is None and not kept.isdisjoint(node.all_input_nodes)
        if node.name in inputs or precision is Precision.FP32 or follows:
            kept.add(node)
    return kept


def _captured_name(node: fx.Node) -> str:
    """Its name before decomposition, which renames some (`to` becomes `_to_copy`)."""
    history = node.meta.get("from_node")
    return history[-1].name if history else node.name


def _marked(program: ExportedProgram, kept: set[fx.Node]) -> set[int]:
    """Number all nodes; coremltools hands a node's number on to the operators made from it."""
    numbers: set[int] = set()
    for number, node in enumerate(program.graph.nodes):
        node.meta["debug_handle"] = number
        if node in kept:
            numbers.add(number)
    return numbers


def _describe_and_make_repeatable(path: Path, graph: Graph) -> None:
    """Fill in the descriptions; take out of the package what differs from one run to the next."""
    from coremltools.proto.Model_pb2 import Model

    (path / _DEBUG_FILE).unlink(missing_ok=True)
    specification = Model.FromString((path / _MODEL).read_bytes())
    specification.description.metadata.userDefined.pop(_DATED, None)
    describe(specification, graph)
    (path / _MODEL).write_bytes(specification.SerializeToString(deterministic=True))
    manifest = path / "Manifest.json"
    manifest.write_text(_renumbered(json.loads(manifest.read_text())))


def _renumbered(manifest: dict[str, object]) -> str:
    """Items by identifiers made from their paths; coremltools draws them at random."""
    entries = manifest["itemInfoEntries"]
    assert isinstance(entries, dict)
    by_identifier = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, e["path"])) for old, e in entries.items()
    }
    manifest["itemInfoEntries"] = {by_identifier[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = by_identifier[str(manifest["rootModelIdentifier"])]
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"
