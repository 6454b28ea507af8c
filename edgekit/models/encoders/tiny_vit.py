"""MobileSAM's image encoder: TinyViT-5M, whose last merge keeps the resolution, and SAM's neck.

Sources: Wu et al., arXiv 2207.10666 (TinyViT); Zhang et al., arXiv 2306.14289 (MobileSAM);
ChaoningZhang/MobileSAM, whose tensor names are kept. Maps are [B, C, H, W] between stages.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.layers import ConvBn, sam_neck
from edgekit.models.encoders.offset_bias import OffsetBias
from edgekit.models.encoders.windows import from_windows, to_windows

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the merges after stages 0, 1 and 2


class PatchEmbed(nn.Module):
    """Two strided 3x3 convolutions: [B, 3, H, W] -> [B, C, H / 4, W / 4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvBn(3, channels // 2, 3, stride=2),
            nn.GELU(),
            ConvBn(channels // 2, channels, 3, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed the photo."""
        return self.seq(x)  # type: ignore[no-any-return]


class MbConv(nn.Module):
    """Inverted residual with expansion 4; GELU follows every convolution and the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.conv1 = ConvBn(channels, hidden, 1)
        self.conv2 = ConvBn(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvBn(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(hidden))


class PatchMerging(nn.Module):
    """A 1x1, a strided depthwise 3x3 and a 1x1 convolution."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBn(in_channels, channels, 1)
        self.conv2 = ConvBn(channels, channels, 3, stride=stride, groups=channels)
        self.conv3 = ConvBn(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))  # type: ignore[no-any-return]


class WindowAttention(OffsetBias):
    """Attention within windows, with a learned bias per offset; the layer norm is inside."""

    def __init__(self, dim: int, *, heads: int, window: int) -> None:
        super().__init__(heads=heads, side=window)
        self.heads, self.head_dim = heads, dim // heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[windows, window^2, dim] -> the same shape."""
        # The output of `qkv` holds q, k and v of the first head, then of the second, and so on.
        qkv = self.qkv(self.norm(x)).unflatten(-1, (self.heads, 3 * self.head_dim)).transpose(1, 2)
        q, k, v = qkv.split(self.head_dim, dim=-1)
        scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1) + self.bias()
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class TokenMlp(nn.Module):
    """Layer norm, then two linear layers with expansion 4 and GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))  # type: ignore[no-any-return]


class TinyVitBlock(nn.Module):
    """Window attention, a depthwise 3x3 convolution and an MLP, on [B, H, W, C] maps."""

    def __init__(self, dim: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(dim, heads=heads, window=window)
        self.mlp = TokenMlp(dim)
        self.local_conv = ConvBn(dim, dim, 3, groups=dim)

    def _attend(self, x: Tensor) -> Tensor:
        """Pad to whole windows, attend and crop. As upstream, the padding takes part as keys."""
        mixed = self.attn(to_windows(x, self.window))
        return from_windows(mixed, self.window, (x.shape[1], x.shape[2]))

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        x = x + self._attend(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Blocks of one width, then the merge to the next width: [B, C, H, W] in and out."""

    def __init__(self, index: int) -> None:
        super().__init__()
        dim = WIDTHS[index]
        self.convolutional = index == 0
        self.blocks = nn.ModuleList(
            MbConv(dim)
            if self.convolutional
            else TinyVitBlock(dim, heads=HEADS[index], window=WINDOWS[index])
            for _ in range(DEPTHS[index])
        )
        self.downsample: PatchMerging | None = None
        if index < len(STRIDES):
            self.downsample = PatchMerging(dim, WIDTHS[index + 1], stride=STRIDES[index])

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks and the merge."""
        x = x if self.convolutional else x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        x = x if self.convolutional else x.permute(0, 3, 1, 2)
        return x if self.downsample is None else self.downsample(x)


class TinyVitEncoder(nn.Module):
    """`image` [B, 3, 1024, 1024] -> `image_embeddings` [B, 256, 64, 64].

    Upstream's files also hold an unused ImageNet head (`norm_head`, `head`), which is left out
    here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(WIDTHS[0])
        self.layers = nn.Sequential(*(Stage(i) for i in range(len(WIDTHS))))
        self.neck = sam_neck(WIDTHS[-1])

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        return self.embed_with_early_map(image)[0]

    def embed_with_early_map(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings, and for Light HQ-SAM the second stage's output [B, 160, 64, 64]."""
        early = self.layers[:2](self.patch_embed(image))
        return self.neck(self.layers[2:](early)), early
