"""Bicubic resizing of maps of a fixed size, as two products with a constant matrix.

Several runtimes lack ONNX's cubic Resize or run it slowly (Core ML before apple/coremltools#2818,
TensorRT before 10). Resizing is linear and separable, so at a fixed size it is one matrix product
over the rows and one over the columns, which every runtime has.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bicubic_matrix(source: int, target: int) -> Tensor:
    """[target, source]: `F.interpolate`'s bicubic weights (half-pixel centres, a = -0.75)."""
    columns = torch.eye(source)[None, None]
    return F.interpolate(columns, size=(target, source), mode="bicubic")[0, 0]


class BicubicResize(nn.Module):
    """[B, C, source, source] -> [B, C, target, target]."""

    matrix: Tensor

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.register_buffer("matrix", bicubic_matrix(source, target), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resize columns, then rows."""
        return self.matrix @ (x @ self.matrix.t())
