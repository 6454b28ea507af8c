"""SAM's neck: from an encoder's own width to the decoder's 256 channels."""

from __future__ import annotations

from torch import nn

from edgekit.models.sam.layers import LayerNorm2d


def sam_neck(in_channels: int, channels: int = 256) -> nn.Sequential:
    """[B, in, H, W] -> [B, channels, H, W], as in segment_anything's `ImageEncoderViT`."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False),
        LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        LayerNorm2d(channels),
    )
