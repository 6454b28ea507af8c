"""Store weights as float16 and dequantize them where they are read: half the file.

This is LiteRT's FP16 model: the CPU computes in float32, a GPU delegate in float16, and both take
the same file (https://ai.google.dev/edge/litert/models/post_training_float16_quant). The format
cannot express a plan of FP16 and FP32 nodes: CPU kernels have no float16 arithmetic, and delegates
have no exceptions for single nodes.
"""

from __future__ import annotations

import copy
from collections import Counter

_WEIGHTED = {
    "CONV_2D": "CONV_2D",
    "DEPTHWISE_CONV_2D": "DEPTHWISE_CONV_2D",
    "CONV_2D_TRANSPOSE": "TRANSPOSE_CONV",
    "FULLY_CONNECTED": "FULLY_CONNECTED",
}
"""Operators whose second operand is a weight: ai-edge-quantizer's name -> the file's name."""


def with_float16_weights(model: bytes) -> bytes:
    """The same `.tflite` with constant operands of convolutions and linear layers in float16."""
    from ai_edge_quantizer import quantizer

    stored = {
        "weight_tensor_config": {
            "num_bits": 16,
            "symmetric": True,
            "granularity": "TENSORWISE",
            "dtype": "FLOAT",
        },
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    recipe = [
        {
            "regex": ".*",
            "operation": operation,
            "algorithm_key": "float_casting",
            "op_config": stored,
        }
        for operation in _WEIGHTED
    ]
    halved = quantizer.Quantizer(bytearray(_with_own_weights(model)), recipe).quantize(
        enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(halved.quantized_model)


def _with_own_weights(model: bytes) -> bytes:
    """The same `.tflite`, in which each weight has a single reader."""
    # litert-torch 0.10 merges equal constants (the two sides of a resize by matrix products).
    # ai-edge-quantizer 0.10 splits them again and fails on the name of the second.
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    weighted = {getattr(schema.BuiltinOperator, name) for name in _WEIGHTED.values()}
    graph = content.subgraphs[0]
    readers = Counter(tensor for operator in graph.operators for tensor in operator.inputs)
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in weighted or readers[shared := operator.inputs[1]] == 1:
            continue
        own = copy.copy(graph.tensors[shared])
        buffer = copy.copy(content.buffers[own.buffer])
        if buffer.data is None:
            continue  # computed, not held
        own.buffer = len(content.buffers)
        own.name += b"_%d" % len(graph.tensors)
        content.buffers.append(buffer)
        operator.inputs[1] = len(graph.tensors)
        graph.tensors.append(own)
        readers[shared] -= 1
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))
