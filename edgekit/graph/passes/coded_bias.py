"""Code the biases of linear layers that read codes, in 32 bits.

ONNX Runtime (1.31) makes one Gemm of a product and its bias. It computes the Gemm in integers only
if the bias has codes too, and codes a bias itself only where the layer's result has codes
(optimizer/qdq_transformer/weight_bias_quantization.cc). Without this pass, 30 of the 40 linear
layers of MobileSAM's encoder that the plan calls INT8 run in float.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.graph.typed_graph import TypedGraph, annotated_graph

LARGEST = 2**30
"""The largest code of a bias: the sum of products adds to it in 32 bits."""


def coded_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each such bias is a whole number of steps of the products' sum.

    A step is the product of the scales of activation and weight, so the results differ by half a
    step at most. A bias beyond `LARGEST` steps stays float.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = annotated_graph(result)
    decoders = []
    for node in graph.nodes:
        place = _bias_place(graph, node)
        if place is None:
            continue
        bias, step = graph.constants[node.input[place]], _step(graph, node.input[1 - place])
        codes = np.round(bias.astype(np.float64) / step)
        if not np.abs(codes).max() <= LARGEST:
            continue
        name = f"{node.output[0]}.bias"
        operands = {f"{name}.codes": codes.astype(np.int32), f"{name}.scale": step}
        result.graph.initializer.extend(
            numpy_helper.from_array(array, key) for key, array in operands.items()
        )
        decoder = helper.make_node("DequantizeLinear", list(operands), [name])
        if step.ndim:
            decoder.attribute.append(helper.make_attribute("axis", 0))
        decoders.append(decoder)
        node.input[place] = name
    nodes = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*decoders, *nodes])
    return result


def _bias_place(graph: TypedGraph, node: onnx.NodeProto) -> int | None:
    """Which operand is the bias, if the node adds one to a product of two coded tensors."""
    if node.op_type != "Add":
        return None
    for place, name in enumerate(node.input):
        bias, product = graph.constants.get(name), node.input[1 - place]
        if bias is not None and bias.ndim == 1 and all(_decoders(graph, product)):
            return place
    return None


def _decoders(graph: TypedGraph, product: str) -> tuple[onnx.NodeProto | None, ...]:
    """The nodes that decode the operands of a product."""
    node = graph.producers.get(product)
    if node is None or node.op_type != "MatMul":
        return (None,)
    return tuple(_decoder(graph, name) for name in node.input)


def _decoder(graph: TypedGraph, name: str) -> onnx.NodeProto | None:
    node = graph.producers.get(name)
    if node is not None and node.op_type == "Transpose":  # the exporter's, of a weight
        node = graph.producers.get(node.input[0])
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _step(graph: TypedGraph, product: str) -> np.ndarray:
    """What one unit of the sum of integer products is worth, per channel or for all of them."""
    left, right = (graph.constants[d.input[1]] for d in _decoders(graph, product) if d is not None)
    return np.asarray(left * right, np.float32)
