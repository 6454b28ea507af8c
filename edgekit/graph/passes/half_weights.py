"""Store large float32 weights as float16 and cast them back where they are read.

Halves the file. For graphs of integer codes only: the error of an 11-bit mantissa is small beside
that of 8-bit codes. Runtimes fold the casts when they load the file.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

SMALLEST = 2**12
"""Elements from which a tensor is worth a cast."""


def has_codes(model: onnx.ModelProto) -> bool:
    """Whether the graph computes on integer codes."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose results differ by the rounding of its weights.

    Weights beyond float16's range and weights in external files stay float32.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    casts = []  # ONNX Runtime 1.31 and OpenVINO 2026.4 fold them when they load the file
    for tensor in result.graph.initializer:
        if not _fits_float16(tensor):
            continue
        name, stored = tensor.name, f"{tensor.name}.float16"
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*casts, *nodes])
    return result


def _fits_float16(tensor: TensorProto) -> bool:
    """Whether this is a large float32 tensor in the file itself, within float16's range."""
    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
        return False
    if tensor.data_location == TensorProto.EXTERNAL:
        return False
    return bool(np.abs(numpy_helper.to_array(tensor)).max() <= np.finfo(np.float16).max)
