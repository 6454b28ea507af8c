"""Give every Reshape a constant shape, with 0 for "copy" and -1 for "the rest".

The exporter computes the shape of a Reshape with dynamic dimensions in int64: Shape, Gather, Add,
Concat (5 own tokens plus the number of points, for one). TensorRT 8 has no int64 arithmetic, and
such chains are what "no implementation for ForeignNode" comes from (NVIDIA-AI-IOT/nanosam#6). Here
one constant says the same: dimensions that keep their place are copied, at most one is inferred.
"""

from __future__ import annotations

import numpy as np
import onnx

Dims = tuple[int | str, ...]


def constant_reshape(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose Reshapes take constants wherever the annotated dimensions allow it.

    Needs the shape annotations that the exporter leaves (symbols such as "s20" or "s55 + 5"). What
    computed the old shapes stays behind as dead code, for the simplifier to remove.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    known = _annotated_dims(result.graph)
    fixed = {tensor.name for tensor in result.graph.initializer}
    for node in result.graph.node:
        if node.op_type != "Reshape" or node.input[1] in fixed:
            continue
        shape = _constant_shape(known.get(node.input[0]), known.get(node.output[0]))
        if shape is not None:
            name = f"{node.output[0]}.shape"
            result.graph.initializer.append(onnx.numpy_helper.from_array(shape, name))
            node.input[1] = name
            del node.attribute[:]  # allowzero=1 would read 0 as an empty dimension
    return result


def _constant_shape(before: Dims | None, after: Dims | None) -> np.ndarray | None:
    """The shape operand from `before` to `after`, or None if no constant can say it."""
    if before is None or after is None:
        return None
    shape = [_entry(i, dim, before) for i, dim in enumerate(after)]
    return np.array(shape, np.int64) if shape.count(-1) <= 1 else None


def _entry(axis: int, dim: int | str, before: Dims) -> int:
    if isinstance(dim, int):
        return dim
    return 0 if axis < len(before) and before[axis] == dim else -1


def _annotated_dims(graph: onnx.GraphProto) -> dict[str, Dims]:
    annotated: dict[str, Dims] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        dims = [d.dim_param or d.dim_value for d in tensor.shape.dim]
        if tensor.HasField("shape") and all(dims):
            annotated[value.name] = tuple(dims)
    return annotated
