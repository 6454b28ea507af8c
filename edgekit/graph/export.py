"""Program to ONNX: export, then run the passes.

`torch.onnx.export(dynamo=True)` gives a cleaner graph than the TorchScript exporter (196 nodes
instead of 755 for a small ViT) but has habits that the passes repair: it does not always honour the
requested opset, computes shapes in int64, names dynamic dimensions by torch's symbols, and stores
stack traces with this machine's paths in every node.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir
import torch

from edgekit.errors import GraphRejected
from edgekit.graph.passes import opset_13
from edgekit.graph.passes.external_weights import take_out_weights
from edgekit.graph.passes.table import NEWEST_OPSET, PassContext, run_passes
from edgekit.graph.typed_graph import opset_of
from edgekit.program.capture import Program
from edgekit.records import OnnxGraph, Target
from edgekit.runtimes.quiet import quiet
from edgekit.store import sha256_of


def lower_to_onnx(program: Program, target: Target, *, folder: Path) -> OnnxGraph:
    """Write `<folder>/<role>.onnx` and describe it. The same program and torch give the same bytes.

    Weights of more than 0.5 GB go to `<role>.onnx.data` beside it.

    Raises:
        GraphRejected: a pass cannot take the graph, the opset is not the target's, or names differ
            from the contract.
        onnx.checker.ValidationError: the result is not valid ONNX.
    """
    path = folder.resolve() / f"{program.role}.onnx"
    data = path.with_name(f"{path.name}.data")
    exported = _exported(program, NEWEST_OPSET if target.opset == opset_13.OPSET else target.opset)
    weights = take_out_weights(exported)
    context = PassContext(program=program, target=target, weights=weights, data=data)
    model = run_passes(ir.to_proto(exported), context)
    _require_opset(model, target)
    # By path: onnx 1.23 checks external weights, and models over 2 GB, in files only.
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)
    return OnnxGraph(
        role=program.role,
        path=path,
        sha256=sha256_of(path),
        opset=opset_of(model),
        inputs=program.inputs,
        outputs=program.outputs,
        ops=dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
        weights=data if weights else None,
    )


def _exported(program: Program, opset: int) -> ir.Model:
    # torch 2.13 warns of its own deprecated LeafSpec, and logs that torchvision is missing.
    with quiet("torch.onnx", "onnxscript", message=r".*LeafSpec"):
        exported = torch.onnx.export(
            program.exported,
            dynamo=True,  # the TorchScript exporter of torch 2.13 leaves four times the nodes
            opset_version=opset,
            output_names=[spec.name for spec in program.outputs],
            external_data=False,
            verbose=False,
        )
    assert exported is not None  # None only when a file name is given
    return exported.model


def _require_opset(model: onnx.ModelProto, target: Target) -> None:
    # torch 2.13 silently writes opset 18 if an operator is not available in the one asked for.
    if opset_of(model) != target.opset:
        raise GraphRejected(
            f"torch.onnx.export wrote opset {opset_of(model)}, target {target.name}"
            f" needs {target.opset}.",
            expected=f"opset {target.opset}, as requested in the call",
            next_step="check the target's `opset`, or the installed torch and onnxscript versions",
        )
