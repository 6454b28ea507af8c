"""Give every Reshape a constant shape: 0 copies a dimension, -1 infers one.

torch.onnx.export (2.13) computes the shape of a Reshape with dynamic dimensions in int64: Shape,
Gather, Add, Concat (for example, 5 output tokens plus the number of points). TensorRT 8 has no
int64 arithmetic and fails on such chains with "no implementation for ForeignNode"
(NVIDIA-AI-IOT/nanosam#6). A constant says the same wherever at most one dimension is inferred.
"""

from __future__ import annotations

import numpy as np
import onnx

from edgekit.graph.typed_graph import Shape, annotated_graph


def constant_reshape(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose Reshapes take constants wherever the annotated shapes allow it.

    Uses the shape annotations of the exporter (symbols such as "s20" or "s55 + 5"). The nodes that
    computed the old shapes stay as dead code; the simplifier removes them.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = annotated_graph(result)
    for node in graph.nodes:
        if node.op_type != "Reshape" or node.input[1] in graph.constants:
            continue
        shape = _constant_shape(graph.shapes.get(node.input[0]), graph.shapes.get(node.output[0]))
        if shape is not None:
            name = f"{node.output[0]}.shape"
            result.graph.initializer.append(onnx.numpy_helper.from_array(shape, name))
            node.input[1] = name
            # The exporter sets allowzero=1, under which 0 means an empty dimension.
            del node.attribute[:]
    return result


def _constant_shape(before: Shape | None, after: Shape | None) -> np.ndarray | None:
    """The shape operand from `before` to `after`, or None if no constant can express it."""
    if before is None or after is None or not all((*before, *after)):
        return None
    shape = [_entry(axis, dim, before) for axis, dim in enumerate(after)]
    return np.array(shape, np.int64) if shape.count(-1) <= 1 else None


def _entry(axis: int, dim: int | str | None, before: Shape) -> int:
    if isinstance(dim, int):
        return dim
    return 0 if axis < len(before) and before[axis] == dim else -1
