"""EfficientViT-SAM's image encoders: convolutions, then ReLU linear attention, then a neck.

Sources: Cai et al., arXiv 2205.14756 (EfficientViT); Zhang et al., arXiv 2402.05008
(EfficientViT-SAM); mit-han-lab/efficientvit, whose tensor names are kept and whose SAM models set
the epsilon of every norm to 1e-6 and use GELU's tanh form. Maps are [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.bicubic import BicubicResize
from edgekit.models.sam.layers import LayerNorm2d

EPSILON = 1e-6
HEAD_DIM = 32
Kind = Literal["fused", "inverted", "attention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientVitSize:
    """The numbers in which the variants differ.

    `frame` is the side of the photo in pixels. The first entries of `widths` and `depths` belong to
    the stem. Each later stage has one block that halves the map, then `depths[i]` blocks of its
    kind. `kernel` is the kernel size of the attention's second scale.
    """

    frame: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kinds: tuple[Kind, ...]
    kernel: int
    neck_depth: int
    neck_expansion: int


def _large(*, depths: tuple[int, ...], neck_depth: int) -> EfficientVitSize:
    return EfficientVitSize(
        frame=512,
        widths=(32, 64, 128, 256, 512),
        depths=depths,
        kinds=("fused", "fused", "inverted", "attention"),
        kernel=5,
        neck_depth=neck_depth,
        neck_expansion=1,
    )


def _extra_large(*, depths: tuple[int, ...], neck_depth: int) -> EfficientVitSize:
    return EfficientVitSize(
        frame=1024,
        widths=(32, 64, 128, 256, 512, 1024),
        depths=depths,
        kinds=("fused", "fused", "fused", "attention", "attention"),
        kernel=3,
        neck_depth=neck_depth,
        neck_expansion=4,
    )


SIZES = {
    "l0": _large(depths=(1, 1, 1, 4, 4), neck_depth=4),
    "l1": _large(depths=(1, 1, 1, 6, 6), neck_depth=8),
    "l2": _large(depths=(1, 2, 2, 8, 8), neck_depth=12),
    "xl0": _extra_large(depths=(0, 1, 1, 2, 3, 3), neck_depth=6),
    "xl1": _extra_large(depths=(1, 2, 2, 4, 6, 6), neck_depth=12),
}


class ConvLayer(nn.Module):
    """Convolution, then batch norm, a bias or neither, then tanh-GELU if `activate`."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        depthwise: bool = False,
        then: Literal["norm", "bias", "nothing"] = "norm",
        activate: bool = False,
    ) -> None:
        """`shape`: input channels, output channels, kernel."""
        super().__init__()
        in_channels, channels, kernel = shape
        groups = channels if depthwise else 1
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=then == "bias"
        )
        self.norm = nn.BatchNorm2d(channels, eps=EPSILON) if then == "norm" else None
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        x = self.conv(x) if self.norm is None else self.norm(self.conv(x))
        return F.gelu(x, approximate="tanh") if self.activate else x


class ResBlock(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer((channels, channels, 3), activate=True)
        self.conv2 = ConvLayer((channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self.conv2(self.conv1(x))  # type: ignore[no-any-return]


class FusedMbConv(nn.Module):
    """A 3x3 convolution that widens, and a 1x1."""

    def __init__(self, in_channels: int, channels: int, *, expansion: int, stride: int = 1) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.spatial_conv = ConvLayer((in_channels, hidden, 3), stride=stride, activate=True)
        self.point_conv = ConvLayer((hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        return self.point_conv(self.spatial_conv(x))  # type: ignore[no-any-return]


class MbConv(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3, a 1x1; only the last is normalised."""

    def __init__(self, in_channels: int, channels: int, *, expansion: int, stride: int = 1) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.inverted_conv = ConvLayer((in_channels, hidden, 1), then="bias", activate=True)
        self.depth_conv = ConvLayer(
            (hidden, hidden, 3), stride=stride, depthwise=True, then="bias", activate=True
        )
        self.point_conv = ConvLayer((hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))  # type: ignore[no-any-return]


class LinearAttention(nn.Module):
    """ReLU linear attention at two scales; the second aggregates queries, keys and values.

    The sums over all positions overflow in float16 (mit-han-lab/efficientvit#184), so they need
    float32.
    """

    def __init__(self, channels: int, *, kernel: int) -> None:
        super().__init__()
        width = 3 * channels
        self.qkv = ConvLayer((channels, width, 1), then="nothing")
        self.aggreg = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
                    nn.Conv2d(width, width, 1, groups=width // HEAD_DIM, bias=False),
                )
            ]
        )
        self.proj = ConvLayer((2 * channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]; no tensor inside has a rank above 4."""
        height, width = x.shape[-2:]
        qkv = self.qkv(x)
        scales = torch.cat([qkv, *(aggregate(qkv) for aggregate in self.aggreg)], dim=1)
        # The channels hold q, k and v of the first head, then of the second, and so on.
        heads = scales.reshape(x.shape[0], -1, 3 * HEAD_DIM, height * width)
        q, k, v = heads.split(HEAD_DIM, dim=2)  # type: ignore[no-untyped-call]
        q, k = F.relu(q), F.relu(k)
        mixed = (v @ k.transpose(-2, -1)) @ q
        weight = k.sum(dim=-1, keepdim=True).transpose(-2, -1) @ q
        mixed = mixed / (weight + 1e-15)
        return self.proj(mixed.reshape(x.shape[0], -1, height, width))  # type: ignore[no-any-return]


class Shortcut(nn.Module):
    """A residual around `main`, unless `add` is false."""

    def __init__(self, main: nn.Module, *, add: bool = True) -> None:
        super().__init__()
        self.main = main
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        """x + main(x), or main(x)."""
        return x + self.main(x) if self.add else self.main(x)  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Context from linear attention, local detail from an inverted residual."""

    def __init__(self, channels: int, *, kernel: int, expansion: int) -> None:
        super().__init__()
        self.context_module = Shortcut(LinearAttention(channels, kernel=kernel))
        self.local_module = Shortcut(MbConv(channels, channels, expansion=expansion))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self.local_module(self.context_module(x))  # type: ignore[no-any-return]


class OpList(nn.Module):
    """Layers one after the other, under upstream's name `op_list`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.op_list = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run all of them."""
        return self.op_list(x)  # type: ignore[no-any-return]


def _stem(size: EfficientVitSize) -> OpList:
    """3x3 with stride 2, then residual blocks."""
    width = size.widths[0]
    first = ConvLayer((3, width, 3), stride=2, activate=True)
    return OpList(first, *(Shortcut(ResBlock(width)) for _ in range(size.depths[0])))


def _stage(size: EfficientVitSize, index: int) -> OpList:
    return OpList(*_blocks(size, index))


def _blocks(size: EfficientVitSize, index: int) -> Iterator[nn.Module]:
    """The block that halves the map, inside four times as wide as the others; then the others."""
    in_width, width, kind = size.widths[index - 1], size.widths[index], size.kinds[index - 1]
    expansion = 6 if index + 1 == len(size.widths) else 4
    block = FusedMbConv if kind == "fused" else MbConv
    yield Shortcut(block(in_width, width, expansion=4 * expansion, stride=2), add=False)
    for _ in range(size.depths[index]):
        if kind == "attention":
            yield AttentionBlock(width, kernel=size.kernel, expansion=expansion)
        else:
            yield Shortcut(block(width, width, expansion=expansion))


class Backbone(nn.Module):
    """`image` -> the maps of the last three stages, from fine to coarse."""

    def __init__(self, size: EfficientVitSize) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [_stem(size), *(_stage(size, i) for i in range(1, len(size.widths)))]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, 3, frame, frame] -> maps of 64, 32 and 16 tokens a side."""
        maps = [image]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[-3:]


class Neck(nn.Module):
    """Three maps, projected to 256 channels, resized and summed; then fused inverted residuals."""

    def __init__(self, size: EfficientVitSize, channels: int = 256) -> None:
        super().__init__()
        last = len(size.widths) - 1
        grids = [size.frame // 2 ** (last + 1 - i) for i in range(3)]
        # Upstream numbers the maps from the coarsest.
        self.input_ops = nn.ModuleList(
            OpList(ConvLayer((width, channels, 1)), _resize(grid, grids[-1]))
            for width, grid in zip(size.widths[:-4:-1], grids, strict=True)
        )
        self.middle = OpList(
            *(
                Shortcut(FusedMbConv(channels, channels, expansion=size.neck_expansion))
                for _ in range(size.neck_depth)
            )
        )
        self.output_ops = nn.ModuleList([OpList(ConvLayer((channels, channels, 1), then="bias"))])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps from fine to coarse -> [B, 256, grid, grid] at the size of the finest."""
        coarse, middle, fine = (
            project(x) for project, x in zip(self.input_ops, reversed(maps), strict=True)
        )
        return self.output_ops[0](self.middle(coarse + middle + fine))  # type: ignore[no-any-return]


def _resize(source: int, target: int) -> nn.Module:
    return nn.Identity() if source == target else BicubicResize(source, target)


class EfficientVitEncoder(nn.Module):
    """`image` [B, 3, frame, frame] -> `image_embeddings` [B, 256, 64, 64]."""

    def __init__(self, size: EfficientVitSize) -> None:
        super().__init__()
        self.backbone = Backbone(size)
        self.neck = Neck(size)
        self.norm = LayerNorm2d(256)

    def forward(self, image: Tensor) -> Tensor:
        """Normalised, padded photo to embeddings."""
        return self.norm(self.neck(self.backbone(image)))  # type: ignore[no-any-return]


class HalvingEfficientVitEncoder(EfficientVitEncoder):
    """MobileSAMv2's EfficientViT: `image` [B, 3, 2 * frame, 2 * frame] -> [B, 256, 64, 64].

    Source: ChaoningZhang/MobileSAM, folder MobileSAMv2. Upstream resizes the photo bilinearly to
    half the side, which is the mean of 2 x 2 pixels.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Normalised, padded photo to embeddings."""
        return super().forward(F.avg_pool2d(image, 2))
