"""Store large float32 weights as float16, cast back where they are read: half the file.

For graphs of integer codes: rounding to 11 bits is small beside theirs. Runtimes fold the cast when
they load the file.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

SMALLEST = 2**12
"""Numbers in a tensor that is worth a cast."""


def has_codes(model: onnx.ModelProto) -> bool:
    """Whether something in the graph is computed on integer codes."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy; its results differ by the rounding. Weights beyond float16's range are left.

    Weights in external files are left too.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    casts = []
    for tensor in result.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        if tensor.data_location == TensorProto.EXTERNAL:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, stored = tensor.name, f"{tensor.name}.float16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    kept = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*casts, *kept])
    return result
