"""Let a Slice end beyond its tensor, in place of an end that is the smaller of two sizes.

torch knows no slice that is shorter than asked for, so a captured program computes the smaller of
the two sizes: Min, in int64, which TensorRT 8 lacks. ONNX's Slice stops at the end by itself.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.graph.typed_graph import TypedGraph, annotated_graph


def clamped_slice(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose Slices take the other size wherever one is that of the sliced axis.

    The nodes that computed the old ends stay as dead code; the simplifier removes them.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph, nodes = annotated_graph(result), list[onnx.NodeProto]()
    for node in result.graph.node:
        if (size := _other_size(node, graph)) is not None:
            end = f"{node.output[0]}.end"
            axis = numpy_helper.from_array(np.zeros(1, np.int64), f"{end}.axis")
            result.graph.initializer.append(axis)
            nodes.append(helper.make_node("Unsqueeze", [size, axis.name], [end]))
            node.input[2] = end
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _other_size(node: onnx.NodeProto, graph: TypedGraph) -> str | None:
    """Of a Slice of one axis that ends at Min(the axis's size, n): the scalar n."""
    if node.op_type != "Slice" or len(node.input) < 4:
        return None
    axes, end = graph.constants.get(node.input[3]), graph.producers.get(node.input[2])
    smaller = end and end.op_type in ("Reshape", "Unsqueeze") and graph.producers.get(end.input[0])
    if axes is None or axes.size != 1 or not smaller or smaller.op_type != "Min":
        return None
    axis_size = graph.shapes[node.input[0]][int(axes[0])]
    sizes = [name for name in smaller.input if graph.constants.get(name) == axis_size]
    others = [name for name in smaller.input if name not in sizes]
    return others[0] if len(sizes) == len(others) == 1 else None
