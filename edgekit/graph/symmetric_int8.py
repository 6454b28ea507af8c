"""TensorRT's rules for INT8 in a graph: symmetric Q/DQ pairs with constant scales.

The rules come from IQuantizeLayer (its docstring is the same in the bindings of 8.6, 10.3 and 11.4)
and from the parser (onnx-tensorrt 8.2-GA, `QuantDequantLinearHelper`). Each rule is checked on its
own, so a graph made for ONNX Runtime (uint8 activations, for example) lists everything to change.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto, TensorProto

from edgekit.graph.typed_graph import TypedGraph

_PAIR = ("QuantizeLinear", "DequantizeLinear")


def breaches(graph: TypedGraph) -> Iterator[tuple[NodeProto, str]]:
    """Nodes of Q/DQ pairs that are not symmetric INT8, each with the problem."""
    for node in graph.nodes:
        if node.op_type in _PAIR:
            yield from ((node, problem) for problem in _problems(node, graph))
        elif node.op_type == "Conv":
            yield from ((node, problem) for problem in _weight_axis(node, graph))


def _problems(node: NodeProto, graph: TypedGraph) -> Iterator[str]:
    # onnx-tensorrt 8.2-GA, QuantDequantLinearHelper: three operands.
    if len(node.input) < 3:
        yield "needs a zero point: ONNX defaults to uint8, and TensorRT 8.2 wants three operands"
    else:
        yield from _zero_point(node.input[2], graph)
    scale = graph.constants.get(node.input[1])
    if scale is None:
        yield f"needs a constant scale, not {node.input[1]}"
    elif not (scale > 0).all():
        yield "needs scales above zero"
    # IQuantizeLayer: per-channel scales are for constant weights only.
    elif scale.size > 1 and node.op_type == _PAIR[0] and node.input[0] not in graph.constants:
        yield "needs one scale for the whole tensor: only weights may have scales per channel"


def _zero_point(name: str, graph: TypedGraph) -> Iterator[str]:
    dtype = graph.types.get(name, TensorProto.UNDEFINED)
    if dtype != TensorProto.INT8:
        yield f"needs int8, not {TensorProto.DataType.Name(dtype).lower()}"
    value = graph.constants.get(name)
    if value is None or np.any(value):
        yield "needs a zero point of 0"


def _weight_axis(conv: NodeProto, graph: TypedGraph) -> Iterator[str]:
    node = graph.producers.get(conv.input[1])
    if node is None or node.op_type != _PAIR[1]:
        return
    scale = graph.constants.get(node.input[1])
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    if scale is not None and scale.size > 1 and axis != 0:
        yield f"needs weight scales per output channel, axis 0, not {axis}"
