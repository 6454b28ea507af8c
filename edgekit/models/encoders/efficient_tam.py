"""EfficientTAM's image encoder: a plain ViT with mostly windowed attention, and SAM's neck.

Sources: Xiong et al., arXiv 2411.18933; Li et al., arXiv 2203.16527 (windows);
yformer/EfficientTAM, whose tensor names are kept. Maps are [B, H, W, C] inside the trunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.hiera import HieraBlock
from edgekit.models.encoders.sam2 import ImageEncoder
from edgekit.models.sam.layers import LayerNorm2d

DEPTH = 12
WINDOW = 14
GLOBAL_BLOCKS = (2, 5, 8, 11)  # attend over the whole map
TABLE = 14  # side of the stored position table, made for photos of 224 pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientTamSize:
    """Channels, attention heads, and the side of the photo in pixels."""

    width: int
    heads: int
    frame: int


SIZES = {
    "ti": EfficientTamSize(width=192, heads=3, frame=1024),
    "ti_512": EfficientTamSize(width=192, heads=3, frame=512),
    "s": EfficientTamSize(width=384, heads=6, frame=1024),
    "s_512": EfficientTamSize(width=384, heads=6, frame=512),
}


class PatchEmbed(nn.Module):
    """16x16 patches: [B, 3, H, W] -> [B, H / 16, W / 16, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 16, stride=16)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.proj(image).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class WindowedVit(nn.Module):
    """`image` [B, 3, S, S] -> [B, C, S / 16, S / 16], without a norm after the blocks."""

    def __init__(self, size: EfficientTamSize) -> None:
        super().__init__()
        width = size.width
        self.grid = size.frame // 16
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TABLE * TABLE, width))
        self.blocks = nn.ModuleList(
            HieraBlock(
                width, width, heads=size.heads, window=None if i in GLOBAL_BLOCKS else WINDOW
            )
            for i in range(DEPTH)
        )
        self._positions: Tensor | None = None

    def positions(self) -> Tensor:
        """[1, grid, grid, C]: the stored table without its class token, resized to the grid."""
        if self._positions is not None:
            return self._positions
        table = torch.unflatten(self.pos_embed[:, 1:], 1, (TABLE, TABLE)).permute(0, 3, 1, 2)
        size = (self.grid, self.grid)
        return F.interpolate(table, size=size, mode="bicubic").permute(0, 2, 3, 1)

    def bake(self) -> None:
        """Turn the positions into a constant. Call it on a copy, before capture."""
        positions = self.positions().detach().contiguous()
        del self._positions
        self.register_buffer("_positions", positions, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the patches and run all blocks."""
        x = self.patch_embed(image) + self.positions()
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class Level(nn.Module):
    """SAM's neck under EfficientTAM's names."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm_0 = LayerNorm2d(channels)
        self.conv_3x3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm_1 = LayerNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H, W]."""
        return self.norm_1(self.conv_3x3(self.norm_0(self.conv_1x1(x))))  # type: ignore[no-any-return]


class Neck(nn.Module):
    """A neck with a single level."""

    def __init__(self, in_channels: int, channels: int = 256) -> None:
        super().__init__()
        self.convs = nn.ModuleList((Level(in_channels, channels),))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, 256, H, W]."""
        return self.convs[0](x)  # type: ignore[no-any-return]


class EfficientTamEncoder(nn.Module):
    """`image` [B, 3, S, S] -> `image_embeddings` [B, 256, S / 16, S / 16].

    As in SAM 2, a single photo has no earlier frames, so the no-memory embedding is added here.
    """

    def __init__(self, size: EfficientTamSize) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(WindowedVit(size), Neck(size.width))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, 256))

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised photo that was resized to the frame."""
        return self.image_encoder(image) + self.no_mem_embed.reshape(1, -1, 1, 1)  # type: ignore[no-any-return]
