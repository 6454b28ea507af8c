"""Layers that the prompt encoder, the mask decoder and the encoders share.

Source: facebookresearch/segment-anything, modeling/common.py and mask_decoder.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of [B, C, H, W], with epsilon 1e-6 (SAM's value for maps).

    It is a permuted `layer_norm` rather than a mean and a variance, so that runtimes see one
    LayerNormalization, whose FP16 kernels accumulate in FP32. The decomposed form squares
    activations in FP16 and overflows (mit-han-lab/efficientvit#142).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        last = x.permute(0, 2, 3, 1)
        last = F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6)
        return last.permute(0, 3, 1, 2)


class LayerNorm3d(nn.Module):
    """As `LayerNorm2d`, over the channels of [B, C, D, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, D, H, W] -> [B, C, D, H, W]."""
        last = x.permute(0, 2, 3, 4, 1)
        last = F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6)
        return last.permute(0, 4, 1, 2, 3)


class Mlp(nn.Module):
    """Linear layers with ReLU between them: `layers.0`, `layers.1`, ..."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """[..., widths[0]] -> [..., widths[-1]]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]
