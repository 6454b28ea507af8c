"""RepViT, and RepViT-SAM's image encoder.

Sources: Wang et al., arXiv 2307.09283 (RepViT) and arXiv 2312.05760 (RepViT-SAM); THU-MIG/RepViT
and chongzhou96/EdgeSAM, whose tensor names are kept. The two differ in the branches that are merged
for inference. Maps are [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgekit.models.encoders.layers import ConvBn, sam_neck


@dataclass(frozen=True, slots=True, kw_only=True)
class RepVitSize:
    """The numbers in which the variants differ.

    `depths` leaves out the downsampling blocks between the stages; `last_stride` is the stride of
    the last of those. `outer_norm` chooses RepVGGDW's form: true normalises the sum of the branches
    (RepViT since the release of M0.9 to M2.3), false each branch (before it, as in EdgeSAM).
    """

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    outer_norm: bool
    last_stride: int

    def blocks_to(self, stage: int) -> int:
        """The number of entries of `features` up to the end of a stage, the stem included."""
        return 1 + sum(self.depths[: stage + 1]) + stage


EDGE_SAM_M1 = RepVitSize(
    widths=(48, 96, 192, 384), depths=(3, 3, 15, 2), outer_norm=False, last_stride=2
)
SAM_M2_3 = RepVitSize(
    widths=(80, 160, 320, 640), depths=(7, 7, 35, 2), outer_norm=True, last_stride=1
)


class RepVggDw(nn.Module):
    """The sum of a depthwise 3x3, a 1x1 and the identity; `bake` merges them into one 3x3."""

    def __init__(self, channels: int, *, outer_norm: bool) -> None:
        super().__init__()
        self.conv = ConvBn(channels, channels, 3, groups=channels)
        self.conv1: nn.Module
        self.bn: nn.BatchNorm2d | None
        if outer_norm:
            self.conv1 = nn.Conv2d(channels, channels, 1, groups=channels)
            self.bn = nn.BatchNorm2d(channels)
        else:
            self.conv1 = ConvBn(channels, channels, 1, groups=channels)
            self.bn = None
        self.merged: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if self.merged is not None:
            return self.merged(x)  # type: ignore[no-any-return]
        summed = self.conv(x) + self.conv1(x) + x
        return summed if self.bn is None else self.bn(summed)  # type: ignore[no-any-return]

    def bake(self) -> None:
        """Merge the branches. Call it on a copy in eval mode, before capture."""
        merged, pointwise = _fold(self.conv), _fold(self.conv1)
        assert merged.bias is not None
        assert pointwise.bias is not None
        weight = merged.weight + F.pad(pointwise.weight, (1, 1, 1, 1))
        weight[:, :, 1, 1] += 1
        merged.weight = nn.Parameter(weight.detach())
        merged.bias = nn.Parameter((merged.bias + pointwise.bias).detach())
        self.merged = merged if self.bn is None else fuse_conv_bn_eval(merged, self.bn)
        del self.conv, self.conv1, self.bn


def _fold(branch: nn.Module) -> nn.Conv2d:
    if isinstance(branch, ConvBn):
        return fuse_conv_bn_eval(branch.c, branch.bn)
    assert isinstance(branch, nn.Conv2d)
    return branch


class SqueezeExcite(nn.Module):
    """Gates every channel by a function of all channels' means (Hu et al., arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = _multiple_of_8(channels / 4)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(mean))))


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8 that is at least 90 % of `channels` (timm's `make_divisible`)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ChannelMixer(nn.Module):
    """Two 1x1 convolutions with expansion 2, GELU and a residual, under upstream's name `m`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Sequential(
            ConvBn(channels, 2 * channels, 1), nn.GELU(), ConvBn(2 * channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return x + self.m(x)  # type: ignore[no-any-return]


class RepVitBlock(nn.Module):
    """A token mixer (a depthwise convolution, with or without a gate), then a channel mixer."""

    def __init__(self, token_mixer: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.token_mixer = token_mixer
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, C, H / stride, W / stride]."""
        return self.channel_mixer(self.token_mixer(x))  # type: ignore[no-any-return]


def _block(channels: int, *, outer_norm: bool, gated: bool) -> RepVitBlock:
    gate = SqueezeExcite(channels) if gated else nn.Identity()
    return RepVitBlock(nn.Sequential(RepVggDw(channels, outer_norm=outer_norm), gate), channels)


def _downsampling_block(in_channels: int, channels: int, *, stride: int) -> RepVitBlock:
    mixer = nn.Sequential(
        ConvBn(in_channels, in_channels, 3, stride=stride, groups=in_channels),
        nn.Identity(),
        ConvBn(in_channels, channels, 1),
    )
    return RepVitBlock(mixer, channels)


def repvit_features(size: RepVitSize) -> nn.Sequential:
    """The stem (stride 4) and all blocks, under upstream's name `features`."""
    return nn.Sequential(*_features(size))


def _features(size: RepVitSize) -> Iterator[nn.Module]:
    first = size.widths[0]
    yield nn.Sequential(
        ConvBn(3, first // 2, 3, stride=2), nn.GELU(), ConvBn(first // 2, first, 3, stride=2)
    )
    strides = (2, 2, size.last_stride)
    for stage, (width, depth) in enumerate(zip(size.widths, size.depths, strict=True)):
        if stage:
            yield _downsampling_block(size.widths[stage - 1], width, stride=strides[stage - 1])
        for index in range(depth):
            # Every other block is gated; the last block of a stage never is.
            gated = index % 2 == 0 and index + 1 < depth
            yield _block(width, outer_norm=size.outer_norm, gated=gated)


class RepVitEncoder(nn.Module):
    """`image` [B, 3, 1024, 1024] -> `image_embeddings` [B, 256, 64, 64]."""

    def __init__(self, size: RepVitSize = SAM_M2_3) -> None:
        super().__init__()
        self.features = repvit_features(size)
        self.neck = sam_neck(size.widths[-1])

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        return self.neck(self.features(image))  # type: ignore[no-any-return]
