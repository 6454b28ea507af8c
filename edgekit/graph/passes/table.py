"""The ONNX passes in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from edgekit.errors import GraphRejected
from edgekit.graph.passes import opset_13
from edgekit.graph.passes.clamped_slice import clamped_slice
from edgekit.graph.passes.coded_bias import coded_bias
from edgekit.graph.passes.constant_reshape import constant_reshape
from edgekit.graph.passes.drop_origins import drop_origins, has_origins
from edgekit.graph.passes.external_weights import Weights, put_back_weights
from edgekit.graph.passes.half_weights import half_weights, has_codes
from edgekit.graph.passes.name_dimensions import name_dimensions
from edgekit.graph.passes.simplify import simplify
from edgekit.graph.typed_graph import opset_of
from edgekit.program.capture import Program
from edgekit.records import Target

# From 17 on LayerNormalization is one operator, and from 20 on so is Gelu. In parts, a layer norm
# overflows in FP16 (TensorRT 10.3 on an Orin Nano: 19 % top-1, onnxsim/onnxsim#1742).
NEWEST_OPSET = 20
"""The opset that graphs for older runtimes are rewritten from."""
_PROTOBUF_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class PassContext:
    """What the passes know of the export that they are part of.

    `weights` are the tensors that are outside the model while it is rewritten, and `data` is the
    file that they go to.
    """

    program: Program
    target: Target
    weights: Weights
    data: Path


Check = Callable[[onnx.ModelProto], str | None]
"""Returns the problem with a graph, or None."""


def _no_problem(_: onnx.ModelProto) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One rewrite: when it applies, what it requires of the graph, and what it ensures."""

    name: str
    rewrite: Callable[[onnx.ModelProto, PassContext], onnx.ModelProto]
    applies: Callable[[Target, onnx.ModelProto], bool] = lambda *_: True
    requires: Check = _no_problem
    ensures: Check = _no_problem


def run_passes(
    model: onnx.ModelProto, context: PassContext, passes: Iterable[Pass] | None = None
) -> onnx.ModelProto:
    """Run those passes, in order, that apply to the target and graph (by default of `PASSES`).

    Raises:
        GraphRejected: a pass cannot take the graph; the message names the pass.
        RuntimeError: a pass failed or broke its promise, which is a bug; the message names it.
    """
    for each in PASSES if passes is None else passes:
        if each.applies(context.target, model):
            model = _run(each, model, context)
    return model


def _run(each: Pass, model: onnx.ModelProto, context: PassContext) -> onnx.ModelProto:
    place = f"ONNX pass {each.name} on the {context.program.role}"
    if problem := each.requires(model):
        raise GraphRejected(f"{place}: {problem}.")
    try:
        result = each.rewrite(model, context)
    except GraphRejected as error:
        raise GraphRejected(
            f"{place}: {error.what}", expected=error.expected, next_step=error.next_step
        ) from error
    except Exception as error:
        raise RuntimeError(f"{place} failed: {error}") from error
    if problem := each.ensures(result):
        raise RuntimeError(f"{place} left a graph in which {problem}")
    return result


# --- conditions -----------------------------------------------------------------------------------


def _has_annotations(model: onnx.ModelProto) -> str | None:
    return None if model.graph.value_info else "the exporter left no shape annotations"


def _fits_protobuf(model: onnx.ModelProto) -> str | None:
    size = model.ByteSize()
    return f"the model has {size / 1e9:.1f} GB" if size >= _PROTOBUF_LIMIT else None


def _has_no_origins(model: onnx.ModelProto) -> str | None:
    return "nodes have doc strings or metadata" if has_origins(model) else None


def _in_newest_opset(model: onnx.ModelProto) -> str | None:
    opset = opset_of(model)
    return f"the opset is {opset}, above {NEWEST_OPSET}" if opset > NEWEST_OPSET else None


def _in_opset_13(model: onnx.ModelProto) -> str | None:
    opset = opset_of(model)
    return None if opset == opset_13.OPSET else f"the opset is {opset}"


def _wants_half_weights(target: Target, model: onnx.ModelProto) -> bool:
    wanted = target.int8 is not None and target.int8.float_weights == "float16"
    return wanted and has_codes(model)


PASSES: tuple[Pass, ...] = (
    # TensorRT 8 fails on shapes computed in int64 (NVIDIA-AI-IOT/nanosam#6). Before simplify,
    # which removes the nodes that this pass leaves unused.
    Pass(
        name="constant-reshape",
        requires=_has_annotations,
        rewrite=lambda model, _: constant_reshape(model),
    ),
    # Before simplify too, for the same reasons.
    Pass(
        name="clamped-slice",
        requires=_has_annotations,
        rewrite=lambda model, _: clamped_slice(model),
    ),
    Pass(
        name="simplify",
        requires=_fits_protobuf,
        rewrite=lambda model, _: simplify(model),
    ),
    # Stack traces hold paths of this machine, so the same model would give other bytes elsewhere.
    Pass(
        name="drop-origins",
        rewrite=lambda model, _: drop_origins(model),
        ensures=_has_no_origins,
    ),
    # After drop-origins, which would drop the digest of the weights from the metadata.
    Pass(
        name="external-weights",
        rewrite=lambda model, context: put_back_weights(model, context.weights, context.data),
        ensures=_fits_protobuf,
    ),
    # After external-weights: until then, weights outside the model are among the inputs.
    Pass(
        name="name-dimensions",
        rewrite=lambda model, context: name_dimensions(model, context.program),
    ),
    # TensorRT 8.2 reads at most opset 13; torch.onnx.export (2.13) writes 18 or more.
    Pass(
        name="opset-13",
        applies=lambda target, _: target.opset == opset_13.OPSET,
        requires=_in_newest_opset,
        rewrite=lambda model, _: opset_13.opset_13(model),
        ensures=_in_opset_13,
    ),
    # Not for TensorRT: it has no codes of 32 bits.
    Pass(
        name="coded-bias",
        applies=lambda target, model: target.runtime == "onnxruntime" and has_codes(model),
        rewrite=lambda model, _: coded_bias(model),
    ),
    Pass(
        name="half-weights",
        applies=_wants_half_weights,
        rewrite=lambda model, _: half_weights(model),
    ),
)
"""All passes, in order."""
