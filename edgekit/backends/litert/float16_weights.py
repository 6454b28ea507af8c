"""Weights in float16, half the file; each is dequantized where it is used.

That is LiteRT's FP16 model: the CPU computes in float32, a GPU delegate in float16, and both take
the same file (https://ai.google.dev/edge/litert/models/post_training_float16_quant). A plan cannot
be honoured: the format has no float16 arithmetic that CPU kernels take, and delegates no islands.
"""

from __future__ import annotations

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")


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
    halved = quantizer.Quantizer(bytearray(model), recipe).quantize(
        enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(halved.quantized_model)
