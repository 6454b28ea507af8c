"""Program to ONNX: export, repair, simplify, check.

`torch.onnx.export(dynamo=True)` gives the cleaner graph (toolchain notes: 196 nodes where the
TorchScript exporter leaves 755) but has habits that are dealt with here: it does not always honour
the opset that it is asked for, computes shapes in int64, names dynamic dimensions by torch's
symbols, and leaves stack traces with the paths of this machine in every node.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir
import torch

from edgekit.errors import GraphRejected
from edgekit.graph.heavy_weights import attach, detached
from edgekit.graph.lint import lint, reject_findings
from edgekit.graph.passes.constant_reshape import constant_reshape
from edgekit.graph.passes.half_weights import half_weights, has_codes
from edgekit.graph.passes.opset_13 import OPSET as OPSET_13
from edgekit.graph.passes.opset_13 import opset_13
from edgekit.graph.typed_graph import opset_of
from edgekit.program.capture import Program
from edgekit.records import OnnxGraph, Target, TensorSpec
from edgekit.store import sha256_of

NEWEST_OPSET = 20
"""What graphs for older runtimes are rewritten from: it has Gelu and LayerNormalization whole."""

# Turning MatMul + Add into Gemm wraps every linear layer of rank 3 in Reshapes with computed
# shapes; runtimes fuse the pair by themselves.
_SKIPPED_OPTIMIZERS = [
    "fuse_matmul_add_bias_into_gemm",
    "fuse_matmul_add_bias_into_gemm_batched",
]


def lower_to_onnx(program: Program, target: Target, *, folder: Path) -> OnnxGraph:
    """Write `<folder>/<role>.onnx` and describe it: one file, but for weights beyond 2 GB.

    Those go to `<role>.onnx.data` beside it. The same program and torch give the same bytes.

    Raises:
        GraphRejected: the opset is not the target's, names differ from the contract, or the lint
            found operators or types that the target's compiler does not take (all are listed).
        onnx.checker.ValidationError: the exporter wrote an invalid model.
    """
    asked = NEWEST_OPSET if target.opset == OPSET_13 else target.opset
    path = folder.resolve() / f"{program.role}.onnx"
    exported = _exported(program, asked)
    heavy = detached(exported)
    model = _simplified(constant_reshape(ir.to_proto(exported)))
    _forget_origins(model)
    attach(model, heavy, path.with_name(f"{path.name}.data"))
    _settle_interface(model, program)
    if target.opset == OPSET_13:
        model = opset_13(model)
    if target.int8 and target.int8.float_weights == "float16" and has_codes(model):
        model = half_weights(model)
    _require_opset(model, target)
    reject_findings(lint(model, target), graph=program.role)
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
        weights=path.with_name(f"{path.name}.data") if heavy else None,
    )


def _exported(program: Program, opset: int) -> ir.Model:
    with _quiet_exporter():
        exported = torch.onnx.export(
            program.exported,
            dynamo=True,
            opset_version=opset,
            output_names=[spec.name for spec in program.outputs],
            external_data=False,
            verbose=False,
        )
    assert exported is not None  # only when a file name is given
    return exported.model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what is torch's own affair (no torchvision, a deprecated type) or checked later."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    simplified: onnx.ModelProto
    simplified, _ = onnxsim.simplify(model, skipped_optimizers=_SKIPPED_OPTIMIZERS)
    return simplified


def _settle_interface(model: onnx.ModelProto, program: Program) -> None:
    """Check names and sizes against the program and give dynamic dimensions their names."""
    for kind, values, specs in (
        ("inputs", model.graph.input, program.inputs),
        ("outputs", model.graph.output, program.outputs),
    ):
        if [v.name for v in values] != [s.name for s in specs]:
            raise GraphRejected(
                f"The {program.role} graph's {kind} are {', '.join(v.name for v in values)}.",
                expected=", ".join(s.name for s in specs),
            )
        for value, spec in zip(values, specs, strict=True):
            _name_dims(value, spec)


def _name_dims(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    tensor = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    wanted = [d if isinstance(d, int) else None for d in spec.shape]
    if tensor.elem_type != onnx.TensorProto.FLOAT or sizes != wanted:
        raise GraphRejected(
            f"{value.name} is of type {tensor.elem_type} with sizes {sizes} in the ONNX graph.",
            expected=f"float32 {spec.shape}",
        )
    for dim, name in zip(tensor.shape.dim, spec.shape, strict=True):
        if isinstance(name, str):
            dim.dim_param = name


def _forget_origins(model: onnx.ModelProto) -> None:
    """Drop stack traces, tool notes and torch's symbol names: only the model decides the bytes."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for entry in (*model.graph.node, *model.graph.input, *model.graph.output):
        entry.doc_string = ""
        del entry.metadata_props[:]


def _require_opset(model: onnx.ModelProto, target: Target) -> None:
    """The exporter silently writes 18 where some operator cannot be had in the opset asked for."""
    if opset_of(model) != target.opset:
        raise GraphRejected(
            f"torch.onnx.export wrote opset {opset_of(model)}, target {target.name}"
            f" needs {target.opset}.",
            expected=f"opset {target.opset}, asked for in the call",
            next_step="check the target's `opset`, or the installed torch and onnxscript versions",
        )
