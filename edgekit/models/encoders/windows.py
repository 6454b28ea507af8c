"""Maps to windows of tokens and back, for window attention.

Both permutes have rank 4: the textbook form has rank 6, Core ML takes at most 5 and LiteRT's GPU
delegate 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, side: int) -> Tensor:
    """[B, H, W, C] -> [B * windows, side^2, C], padded with zeros below and at the right.

    Padding takes part in attention as keys, as in every upstream that partitions so.
    """
    batch, height, width, dim = x.shape
    down, right = -height % side, -width % side
    if down or right:
        x = F.pad(x, (0, 0, 0, right, 0, down))
    rows, columns = (height + down) // side, (width + right) // side
    x = x.reshape(batch * rows, side, columns, side * dim).transpose(1, 2)
    return x.reshape(batch * rows * columns, side * side, dim)


def from_windows(x: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """[B * windows, side^2, C] -> [B, H, W, C] with `size` = (H, W): padding is cropped."""
    (height, width), dim = size, x.shape[-1]
    rows, columns = -(-height // side), -(-width // side)
    x = x.reshape(-1, columns, side, side * dim).transpose(1, 2)
    x = x.reshape(-1, rows * side, columns * side, dim)
    if (rows * side, columns * side) != (height, width):
        x = x[:, :height, :width]
    return x
