"""Convert an ExportedProgram to a saved `.mlpackage` in the planned precision, with coremltools.

Imports torch, so `lower` imports this module only when it runs.

The program stays float32. coremltools' own pass makes it FP16, except for the nodes that the plan
keeps in FP32. Integer codes are already in the program (with folded weights, for iOS 18).
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
        graph: the saved program, with its plan and descriptions.
        target: for its precision and the oldest system.
        path: of the package, a folder that does not exist yet.

    Raises:
        Exception: of any class; coremltools has none of its own.
    """
    with quiet_coremltools() as coremltools:
        # coremltools 9.0 accepts the ATEN and EDGE dialects only after `run_decompositions`.
        program = torch.export.load(graph.path).run_decompositions({})
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            outputs=[
                coremltools.TensorType(name=spec.name, dtype=np.float32) for spec in graph.outputs
            ],
            minimum_deployment_target=coremltools.target[option(target, _OLDEST_SYSTEM)],
            compute_precision=_precision(coremltools, program, graph, target),
            skip_model_load=True,  # loading needs macOS
        )
        model.save(str(path))
    _describe_and_make_repeatable(path, graph)


def _precision(
    coremltools: ModuleType, program: ExportedProgram, graph: Graph, target: Target
) -> object:
    if target.precision is Precision.FP32:
        return coremltools.precision.FLOAT32
    if graph.plan is None:  # INT8: the codes are in the program, and the rest becomes FP16
        return coremltools.precision.FLOAT16
    from coremltools.converters.mil.mil.scope import ScopeSource

    # coremltools 9.0 does not convert a program that is itself in FP16: it makes an FP32 epsilon
    # for an FP16 layer norm. It does pass each node's debug handle on to its operators.
    in_fp32 = _number_nodes(program, nodes_in_fp32(program, graph.plan))

    def becomes_fp16(operation: Operation) -> bool:
        origins = operation.scopes.get(ScopeSource.EXIR_DEBUG_HANDLE) or ()
        return in_fp32.isdisjoint(origins)

    return coremltools.transform.FP16ComputePrecision(op_selector=becomes_fp16)


def nodes_in_fp32(program: ExportedProgram, plan: PartPlan) -> set[fx.Node]:
    """The planned FP32 nodes of a decomposed program, and the nodes that only move their results.

    A node without a line in the plan moves numbers, or makes none, and follows its inputs. The
    program's inputs are FP32, so that coordinates in pixels reach the first FP32 node exactly.
    """
    planned = {line.node: line.precision for line in plan.nodes}
    inputs = set(program.graph_signature.user_inputs)
    in_fp32: set[fx.Node] = set()
    for node in program.graph.nodes:
        precision = planned.get(_captured_name(node))
        follows = precision is None and not in_fp32.isdisjoint(node.all_input_nodes)
        if node.name in inputs or precision is Precision.FP32 or follows:
            in_fp32.add(node)
    return in_fp32


def _captured_name(node: fx.Node) -> str:
    """The node's name before decomposition, which renames some (`to` becomes `_to_copy`)."""
    history = node.meta.get("from_node")
    return history[-1].name if history else node.name


def _number_nodes(program: ExportedProgram, chosen: set[fx.Node]) -> set[int]:
    """Number all nodes by debug handles, and return the numbers of the chosen ones."""
    numbers: set[int] = set()
    for number, node in enumerate(program.graph.nodes):
        node.meta["debug_handle"] = number
        if node in chosen:
            numbers.add(number)
    return numbers


def _describe_and_make_repeatable(path: Path, graph: Graph) -> None:
    """Fill in the descriptions, and remove what differs from one run to the next."""
    from coremltools.proto.Model_pb2 import Model

    # coremltools 9.0 writes a mapping of debug handles, the date, and random identifiers.
    (path / _DEBUG_FILE).unlink(missing_ok=True)
    specification = Model.FromString((path / _MODEL).read_bytes())
    specification.description.metadata.userDefined.pop(_DATED, None)
    describe(specification, graph)
    (path / _MODEL).write_bytes(specification.SerializeToString(deterministic=True))
    manifest = path / "Manifest.json"
    manifest.write_text(_renumbered(json.loads(manifest.read_text())))


def _renumbered(manifest: dict[str, object]) -> str:
    """The manifest with identifiers that follow from the paths of its items."""
    entries = manifest["itemInfoEntries"]
    assert isinstance(entries, dict)
    by_identifier = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, e["path"])) for old, e in entries.items()
    }
    manifest["itemInfoEntries"] = {by_identifier[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = by_identifier[str(manifest["rootModelIdentifier"])]
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"
