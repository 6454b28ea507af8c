"""EfficientFormerV2: depthwise convolutions, and attention in the last blocks of two stages.

Sources: Li et al., arXiv 2212.08059; timm 1.0.31, whose tensor names are kept. Its classifier and
last norm are left out. The attention's biases depend on the distance between tokens, so their
tables belong to one frame: a checkpoint for 224 pixels does not fit one of 1024. Baked for export
at 1024, they hold 268 MB in float32 (four blocks of 8 x 1024 x 1024 and one of 8 x 1024 x 4096).
Maps are [B, C, H, W].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.offset_bias import OffsetBias

HEADS = 8
KEY_DIM, VALUE_DIM = 32, 128
DOWNSAMPLE_KEY_DIM, DOWNSAMPLE_VALUE_DIM = 16, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientFormerSize:
    """The numbers in which the variants differ.

    `ratios` holds the MLP's expansion in each block of each stage. The last `attention` blocks of
    stages 2 and 3 have attention.
    """

    widths: tuple[int, int, int, int]
    ratios: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    attention: int


SIZES = {
    "s0": EfficientFormerSize(
        widths=(32, 48, 96, 176),
        ratios=((4, 4), (4, 4), (4, 3, 3, 3, 4, 4), (4, 3, 3, 4)),
        attention=2,
    ),
    "s1": EfficientFormerSize(
        widths=(32, 48, 120, 224),
        ratios=((4,) * 3, (4,) * 3, (4, 4, 3, 3, 3, 3, 4, 4, 4), (4, 4, 3, 3, 4, 4)),
        attention=2,
    ),
    "s2": EfficientFormerSize(
        widths=(32, 64, 144, 288),
        ratios=(
            (4,) * 4,
            (4,) * 4,
            (4, 4, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4),
            (4, 4, 3, 3, 3, 3, 4, 4),
        ),
        attention=4,
    ),
    "l": EfficientFormerSize(
        widths=(40, 80, 192, 384),
        ratios=(
            (4,) * 5,
            (4,) * 5,
            (4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4),
            (4, 4, 4, 3, 3, 3, 3, 4, 4, 4),
        ),
        attention=6,
    ),
}


class ConvNorm(nn.Module):
    """A convolution with a bias, then batch norm, under timm's names `conv` and `bn`."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H / stride, W / stride]."""
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class Stem(nn.Module):
    """Two strided 3x3 convolutions with GELU: [B, 3, H, W] -> [B, C, H / 4, W / 4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels // 2, 3, stride=2)
        self.conv2 = ConvNorm(channels // 2, channels, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return F.gelu(self.conv2(F.gelu(self.conv1(image))))


class Mlp(nn.Module):
    """A 1x1, a depthwise 3x3 and a 1x1 convolution with GELU between them."""

    def __init__(self, channels: int, *, ratio: int) -> None:
        super().__init__()
        hidden = ratio * channels
        self.fc1 = ConvNorm(channels, hidden)
        self.mid = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.fc2 = ConvNorm(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self.fc2(F.gelu(self.mid(F.gelu(self.fc1(x)))))  # type: ignore[no-any-return]


class Scale(nn.Module):
    """One learned factor per channel of a residual branch, under timm's name `gamma`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return x * self.gamma.reshape(1, -1, 1, 1)


def by_head(x: Tensor) -> Tensor:
    """[B, heads * dim, H, W] -> [B, heads, dim, H * W]."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, HEADS, channels // HEADS, height * width)


class Attention(OffsetBias):
    """Attention between all tokens; `halve` computes it at half the resolution.

    1x1 convolutions mix the heads before and after the softmax. A depthwise convolution of the
    values is added to the result.
    """

    def __init__(self, channels: int, *, side: int, halve: bool) -> None:
        super().__init__(heads=HEADS, side=side // 2 if halve else side)
        values = HEADS * VALUE_DIM
        self.stride_conv = (
            ConvNorm(channels, channels, 3, stride=2, groups=channels) if halve else None
        )
        self.q = ConvNorm(channels, HEADS * KEY_DIM)
        self.k = ConvNorm(channels, HEADS * KEY_DIM)
        self.v = ConvNorm(channels, values)
        self.v_local = ConvNorm(values, values, 3, groups=values)
        self.talking_head1 = nn.Conv2d(HEADS, HEADS, 1)
        self.talking_head2 = nn.Conv2d(HEADS, HEADS, 1)
        self.proj = ConvNorm(values, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, side, side] -> [B, C, side, side]."""
        x = x if self.stride_conv is None else self.stride_conv(x)
        values = self.v(x)
        queries = by_head(self.q(x)).transpose(2, 3) * (1 / math.sqrt(KEY_DIM))
        scores = self.talking_head1(queries @ by_head(self.k(x)) + self.bias())
        shares = self.talking_head2(torch.softmax(scores, dim=-1))
        mixed = (by_head(values) @ shares.transpose(2, 3)).reshape(values.shape)
        mixed = mixed + self.v_local(values)
        if self.stride_conv is not None:
            mixed = F.interpolate(mixed, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.proj(F.gelu(mixed))  # type: ignore[no-any-return]


class HalfQuery(nn.Module):
    """Queries at half the resolution: a strided depthwise 3x3, plus every second pixel."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels)
        self.proj = ConvNorm(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H / 2, W / 2]."""
        return self.proj(self.local(x) + x[:, :, ::2, ::2])  # type: ignore[no-any-return]


class DownsampleAttention(OffsetBias):
    """Attention of half as many queries a side to all tokens."""

    def __init__(self, in_channels: int, channels: int, *, side: int) -> None:
        super().__init__(heads=HEADS, side=side, stride=2)
        values = HEADS * DOWNSAMPLE_VALUE_DIM
        self.q = HalfQuery(in_channels, HEADS * DOWNSAMPLE_KEY_DIM)
        self.k = ConvNorm(in_channels, HEADS * DOWNSAMPLE_KEY_DIM)
        self.v = ConvNorm(in_channels, values)
        self.v_local = ConvNorm(values, values, 3, stride=2, groups=values)
        self.proj = ConvNorm(values, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, side, side] -> [B, channels, side / 2, side / 2]."""
        values = self.v(x)
        local = self.v_local(values)
        queries = by_head(self.q(x)).transpose(2, 3) * (1 / math.sqrt(DOWNSAMPLE_KEY_DIM))
        shares = torch.softmax(queries @ by_head(self.k(x)) + self.bias(), dim=-1)
        mixed = (by_head(values) @ shares.transpose(2, 3)).reshape(local.shape)
        return self.proj(F.gelu(mixed + local))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """A strided 3x3 convolution, plus attention before the last stage."""

    def __init__(self, in_channels: int, channels: int, *, attention_side: int | None) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, channels, 3, stride=2)
        self.attn = (
            DownsampleAttention(in_channels, channels, side=attention_side)
            if attention_side
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H / 2, W / 2]."""
        halved: Tensor = self.conv(x)
        return halved if self.attn is None else halved + self.attn(x)


class Block(nn.Module):
    """Attention, if any, and an MLP, each scaled and added."""

    def __init__(self, channels: int, *, ratio: int, attention: Attention | None) -> None:
        super().__init__()
        self.token_mixer = attention
        self.ls1 = Scale(channels) if attention else None
        self.mlp = Mlp(channels, ratio=ratio)
        self.ls2 = Scale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if self.token_mixer is not None and self.ls1 is not None:
            x = x + self.ls1(self.token_mixer(x))
        return x + self.ls2(self.mlp(x))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """The blocks of one width, after the step to it."""

    def __init__(self, size: EfficientFormerSize, index: int, *, side: int) -> None:
        super().__init__()
        width, last = size.widths[index], index == len(size.widths) - 1
        self.downsample: nn.Module = (
            Downsample(size.widths[index - 1], width, attention_side=2 * side if last else None)
            if index
            else nn.Identity()
        )
        ratios = size.ratios[index]
        first = len(ratios) - size.attention if index >= 2 else len(ratios)
        self.blocks = nn.Sequential(
            *(
                Block(
                    width,
                    ratio=ratio,
                    attention=(
                        Attention(width, side=side, halve=not last) if place >= first else None
                    ),
                )
                for place, ratio in enumerate(ratios)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, width, side, side]."""
        return self.blocks(self.downsample(x))  # type: ignore[no-any-return]


class EfficientFormerV2(nn.Module):
    """`image` [B, 3, frame, frame] -> the maps of the four stages, strides 4, 8, 16 and 32."""

    def __init__(self, size: EfficientFormerSize, *, frame: int = 1024) -> None:
        super().__init__()
        self.stem = Stem(size.widths[0])
        self.stages = nn.ModuleList(
            Stage(size, index, side=frame // 2 ** (index + 2)) for index in range(len(size.widths))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four maps [B, C, H, W], from fine to coarse."""
        x = self.stem(image)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
