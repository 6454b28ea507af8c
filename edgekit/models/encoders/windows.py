"""Splits maps into windows of tokens and joins them again, for window attention.

Both permutes have rank 4. The textbook's has rank 6, but Core ML takes at most 5 and LiteRT's GPU
delegate at most 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, side: int) -> Tensor:
    """[B, H, W, C] -> [B * windows, side^2, C], with zeros added at the bottom and the right.

    The padding takes part in attention as keys, as in every upstream that pads to windows.
    """
    batch, height, width, dim = x.shape
    down, right = -height % side, -width % side
    if down or right:
        x = F.pad(x, (0, 0, 0, right, 0, down))
    rows, columns = (height + down) // side, (width + right) // side
    x = x.reshape(batch * rows, side, columns, side * dim).transpose(1, 2)
    return x.reshape(batch * rows * columns, side * side, dim)


def from_windows(x: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """[B * windows, side^2, C] -> [B, H, W, C] with `size` = (H, W); the padding is cropped."""
    (height, width), dim = size, x.shape[-1]
    rows, columns = -(-height // side), -(-width // side)
    x = x.reshape(-1, columns, side, side * dim).transpose(1, 2)
    x = x.reshape(-1, rows * side, columns * side, dim)
    if (rows * side, columns * side) != (height, width):
        x = x[:, :height, :width]
    return x
