"""EdgeTAM's trunk: RepViT-M1, which returns the maps of all four stages.

Sources: Zhou et al., arXiv 2501.07256 (EdgeTAM); Wang et al., arXiv 2307.09283 (RepViT);
facebookresearch/EdgeTAM, which uses timm's RepViT and its tensor names. The blocks are those of
`repvit.py`. timm names the parts of a downsampling block; THU-MIG/RepViT numbers them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.layers import ConvBn
from edgekit.models.encoders.repvit import RepVggDw, SqueezeExcite

WIDTHS = (48, 96, 192, 384)
DEPTHS = (2, 2, 14, 2)


class Stem(nn.Module):
    """Two strided 3x3 convolutions: [B, 3, H, W] -> [B, C, H / 4, W / 4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBn(3, channels // 2, 3, stride=2)
        self.conv2 = ConvBn(channels // 2, channels, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.conv2(F.gelu(self.conv1(image)))  # type: ignore[no-any-return]


class ChannelMixer(nn.Module):
    """Two 1x1 convolutions with expansion 2 and GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBn(channels, 2 * channels, 1)
        self.conv2 = ConvBn(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self.conv2(F.gelu(self.conv1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Depthwise convolution, a gate if `gated`, and a channel mixer with a residual."""

    def __init__(self, channels: int, *, gated: bool) -> None:
        super().__init__()
        self.token_mixer = RepVggDw(channels, outer_norm=False)
        self.se = SqueezeExcite(channels) if gated else nn.Identity()
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """A block, a strided depthwise 3x3, a 1x1 to the new width, and a channel mixer."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.pre_block = Block(in_channels, gated=False)
        self.spatial_downsample = ConvBn(in_channels, in_channels, 3, stride=2, groups=in_channels)
        self.channel_downsample = ConvBn(in_channels, channels, 1)
        self.ffn = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, C, H / 2, W / 2]."""
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """All blocks of one width; every other block is gated."""

    def __init__(self, index: int) -> None:
        super().__init__()
        width = WIDTHS[index]
        self.downsample = Downsample(WIDTHS[index - 1], width) if index else nn.Identity()
        self.blocks = nn.Sequential(
            *(Block(width, gated=place % 2 == 0) for place in range(DEPTHS[index]))
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, C, H / 2, W / 2]; the first stage keeps the resolution."""
        return self.blocks(self.downsample(x))  # type: ignore[no-any-return]


class Body(nn.Module):
    """The stem and four stages, under the names of timm's `features_only`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem(WIDTHS[0])
        for index in range(len(WIDTHS)):
            self.add_module(f"stages_{index}", Stage(index))

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        """The output of each stage, from fine to coarse."""
        x = self.stem(image)
        for index in range(len(WIDTHS)):
            x = self.get_submodule(f"stages_{index}")(x)
            yield x


class RepVitTrunk(nn.Module):
    """`image` [B, 3, S, S] -> the maps of the four stages, strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four maps [B, C, H, W], from fine to coarse."""
        return list(self.body.maps(image))
