"""Layers that several image encoders share."""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d


class ConvBn(nn.Module):
    """Convolution without bias, then batch norm; TinyViT and RepViT call them `c` and `bn`."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        return self.bn(self.c(x))  # type: ignore[no-any-return]


def sam_neck(in_channels: int, channels: int = 256) -> nn.Sequential:
    """SAM's neck, from an encoder's width to the decoder's 256 channels at the same resolution.

    [B, in, H, W] -> [B, channels, H, W]. Source: `ImageEncoderViT` of
    facebookresearch/segment-anything, image_encoder.py.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False),
        LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        LayerNorm2d(channels),
    )
