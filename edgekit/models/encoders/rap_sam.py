"""RAP-SAM's image encoder: ResNet-50 under YOSO's neck, one map at stride 4.

Sources: Xu et al., arXiv 2401.10228 (RAP-SAM); Hu et al., arXiv 2303.14651 (YOSO);
xushilin1/RAP-SAM, whose tensor names are kept. Maps are [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.deformable import TAPS, DeformableConv2d
from edgekit.models.encoders.resnet50 import ResNet50

STRIDES = (4, 8, 16, 32)
MIXED = 128
"""Channels in which the levels are summed."""


class DeformableUpsampling(nn.Module):
    """A deformable convolution, then twice the resolution: [B, in, s, s] -> [B, out, 2s, 2s]."""

    def __init__(self, in_channels: int, channels: int, *, side: int) -> None:
        super().__init__()
        self.dcn_offset = nn.Conv2d(in_channels, 3 * TAPS, 3, padding=1)
        self.dcn = DeformableConv2d(in_channels, channels, side=side)
        self.dcn_bn = nn.BatchNorm2d(channels)
        self.up_sample = nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False)
        self.up_bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample a map; where each tap reads, and how much it counts, depend on the map."""
        offsets, modulation = self.dcn_offset(x).split([2 * TAPS, TAPS], dim=1)
        x = F.relu(self.dcn_bn(self.dcn(x, offsets, modulation.sigmoid())))
        return F.relu(self.up_bn(self.up_sample(x)))


class FeatureAggregation(nn.Module):
    """Four maps -> their sum at the finest resolution, [B, 128, frame / 4, frame / 4].

    Args:
        widths: channels of the maps, from fine to coarse.
        frame: side of the image.
    """

    def __init__(self, widths: Sequence[int], *, frame: int) -> None:
        super().__init__()
        fine, middle, coarse, coarsest = (width // 2 for width in widths)
        self.bias = nn.Parameter(torch.zeros(1, MIXED, 1, 1))
        self.lateral_conv0 = nn.Conv2d(widths[3], coarsest, 1)
        self.lateral_conv1 = nn.Conv2d(widths[2], coarse, 1)
        self.lateral_conv2 = nn.Conv2d(widths[1], middle, 1)
        self.lateral_conv3 = nn.Conv2d(widths[0], fine, 1)
        self.deform_conv1 = DeformableUpsampling(coarsest, coarse, side=frame // STRIDES[3])
        self.deform_conv2 = DeformableUpsampling(coarse, middle, side=frame // STRIDES[2])
        self.deform_conv3 = DeformableUpsampling(middle, fine, side=frame // STRIDES[1])
        self.conv_a5 = nn.Conv2d(coarsest, MIXED, 1, bias=False)
        self.conv_a4 = nn.Conv2d(coarse, MIXED, 1, bias=False)
        self.conv_a3 = nn.Conv2d(middle, MIXED, 1, bias=False)
        self.conv_a2 = nn.Conv2d(fine, MIXED, 1, bias=False)
        self.output_conv = nn.Conv2d(MIXED, MIXED, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Sum the levels, each upsampled bilinearly."""
        fine, middle, coarse, coarsest = maps
        fifth = self.lateral_conv0(coarsest)
        fourth = self.deform_conv1(fifth) + self.lateral_conv1(coarse)
        third = self.deform_conv2(fourth) + self.lateral_conv2(middle)
        second = self.deform_conv3(third) + self.lateral_conv3(fine)
        summed = self.conv_a2(second) + self.bias
        for level, factor in (
            (self.conv_a3(third), 2.0),
            (self.conv_a4(fourth), 4.0),
            (self.conv_a5(fifth), 8.0),
        ):
            summed = summed + F.interpolate(level, scale_factor=factor, mode="bilinear")
        return self.output_conv(summed)  # type: ignore[no-any-return]


class YosoNeck(nn.Module):
    """Four maps -> one map [B, 256, frame / 4, frame / 4] that knows its coordinates."""

    coordinates: Tensor

    def __init__(self, widths: Sequence[int], *, frame: int, channels: int = 256) -> None:
        super().__init__()
        self.deconv = FeatureAggregation(widths, frame=frame)
        self.loc_conv = nn.Conv2d(MIXED + 2, channels, 1)
        steps = torch.linspace(-1, 1, frame // STRIDES[0])
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("coordinates", torch.stack([columns, rows])[None], persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Sum the levels and mix in each pixel's x and y, from -1 to 1 over the padded map."""
        summed = self.deconv(maps)
        coordinates = self.coordinates.expand(summed.shape[0], -1, -1, -1)
        return self.loc_conv(torch.cat([summed, coordinates], dim=1))  # type: ignore[no-any-return]


class RapSamEncoder(nn.Module):
    """`image` [B, 3, frame, frame] -> `image_embeddings` [B, 256, frame / 4, frame / 4]."""

    def __init__(self, backbone: ResNet50 | None = None, *, frame: int = 1024) -> None:
        super().__init__()
        self.backbone = backbone or ResNet50()
        self.neck = YosoNeck(self.backbone.widths, frame=frame)

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        return self.neck(self.backbone(image))  # type: ignore[no-any-return]
