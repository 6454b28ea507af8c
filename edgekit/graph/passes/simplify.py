"""Fold constants, merge equal nodes and drop dead ones, with onnxsim."""

from __future__ import annotations

import onnx

# Turning MatMul + Add into Gemm makes onnxsim 0.8 wrap every linear layer of rank 3 in Reshapes
# with computed shapes. Runtimes fuse the pair themselves.
_SKIPPED_OPTIMIZERS = [
    "fuse_matmul_add_bias_into_gemm",
    "fuse_matmul_add_bias_into_gemm_batched",
]


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """A simplified copy with the same inputs, outputs and results."""
    import onnxsim  # imports torch (0.8.1)

    simplified: onnx.ModelProto
    simplified, _ = onnxsim.simplify(model, skipped_optimizers=_SKIPPED_OPTIMIZERS)
    return simplified
