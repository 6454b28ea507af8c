"""Make a float32 twin of typed ONNX that rounds as FP16 hardware does.

ONNX Runtime's CPU provider (1.31) has few FP16 kernels. It puts casts around other operators and
removes the casts between them, so chains of FP16 operators run in float32 and say nothing about
FP16. In the twin every FP16 result is cast to float16 and back. Each operator then rounds once (or
overflows to infinity) after an exact sum, like tensor cores with FP32 accumulators.

Q/DQ graphs need no twin: QuantizeLinear rounds by definition, and ONNX Runtime's INT8 kernels sum
in INT32 as the hardware does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_MOVES = frozenset(
    {
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that select among their inputs and zero, so their results need no rounding."""


def rounding_twin(path: Path) -> bytes:
    """The ONNX file as a serialised float32 model that rounds where its types are float16.

    Raises:
        onnx.checker.ValidationError, google.protobuf.message.DecodeError: it is not valid ONNX.
    """
    import onnx

    model = onnx.load(path)
    halves = _half_tensors(model)
    if not halves:
        return bytes(model.SerializeToString())
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        _widen(tensor)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend(_rounded(node, halves))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _half_tensors(model: onnx.ModelProto) -> frozenset[str]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    half = onnx.TensorProto.FLOAT16
    typed = {value.name for value in values if value.type.tensor_type.elem_type == half}
    return frozenset(typed | {t.name for t in graph.initializer if t.data_type == half})


def _widen(tensor: onnx.TensorProto) -> None:
    """Turn a float16 weight into float32, in place."""
    import numpy as np
    import onnx

    if tensor.data_type == onnx.TensorProto.FLOAT16:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _rounded(node: onnx.NodeProto, halves: frozenset[str]) -> list[onnx.NodeProto]:
    """The node in float32, followed by casts that round its float16 results."""
    import onnx

    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen(attribute.t)
        elif node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT16:
            attribute.i = onnx.TensorProto.FLOAT
    written = [name for name in node.output if name in halves]
    if not written or node.op_type in _MOVES or node.op_type == "Constant":
        return [node]
    exact = {name: f"{name}.exact" for name in written}
    node.output[:] = [exact.get(name, name) for name in node.output]
    return [node, *(cast for name in written for cast in _rounding(exact[name], name))]


def _rounding(exact: str, rounded: str) -> list[onnx.NodeProto]:
    from onnx import TensorProto, helper

    half = f"{rounded}.half"
    return [
        helper.make_node("Cast", [exact], [half], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [rounded], to=TensorProto.FLOAT),
    ]
