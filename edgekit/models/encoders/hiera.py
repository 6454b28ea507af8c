"""SAM 2's trunk: Hiera, four stages of window attention with pooled queries between stages.

Sources: Ryali et al., arXiv 2306.00989 (Hiera); Ravi et al., arXiv 2408.00714, appendix (as used in
SAM 2); arXiv 2311.05613 (positions: a small table for the frame plus a tiled one for the window);
facebookresearch/sam2, whose tensor names are kept. Maps are [B, H, W, C] throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.windows import from_windows, to_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class HieraSize:
    """The numbers in which the variants differ.

    `width` and `heads` double with each stage. `windows` holds each stage's window side in tokens;
    the blocks in `global_blocks` (counted over all stages) see the whole map. `background` is the
    side of the position table that is resized to the frame.
    """

    width: int
    heads: int
    depths: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7


# Source: facebookresearch/sam2, configs sam2_hiera_{t,s,b+,l}.yaml; SAM 2.1 has the same sizes.
SIZES = {
    "t": HieraSize(width=96, heads=1, depths=(1, 2, 7, 2), global_blocks=(5, 7, 9)),
    "s": HieraSize(width=96, heads=1, depths=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
    "bplus": HieraSize(
        width=112, heads=2, depths=(2, 3, 16, 3), global_blocks=(12, 16, 20), background=14
    ),
    "l": HieraSize(
        width=144,
        heads=2,
        depths=(2, 6, 36, 4),
        global_blocks=(23, 33, 43),
        windows=(8, 4, 16, 8),
    ),
}


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches, stride 4: [B, 3, H, W] -> [B, H / 4, W / 4, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 7, stride=4, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.proj(image).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class GeluMlp(nn.Module):
    """Expansion 4 and GELU, under SAM 2's names `layers.0` and `layers.1`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList((nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        widen, narrow = self.layers
        return narrow(F.gelu(widen(x)))  # type: ignore[no-any-return]


def max_pool_2x2(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, H / 2, W / 2, C]."""
    # coremltools 9.0 fails without an explicit stride; torch's default is the kernel's side.
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2, 2).permute(0, 2, 3, 1)


class PooledAttention(nn.Module):
    """Self-attention within a window or the whole map; pools queries 2x2 if `pool`."""

    def __init__(self, in_dim: int, dim: int, *, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads, self.head_dim, self.pool = heads, dim // heads, pool
        self.qkv = nn.Linear(in_dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = torch.unflatten(x, -1, (self.heads, self.head_dim))
        return heads.transpose(1, 2)

    def forward(self, x: Tensor, side: int) -> Tensor:
        """[windows, side^2, in] -> [windows, side^2 or side^2 / 4, dim]."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q = max_pool_2x2(torch.unflatten(q, 1, (side, side))).flatten(1, 2)
        q, k, v = self._split(q) * (1 / math.sqrt(self.head_dim)), self._split(k), self._split(v)
        mixed = torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class HieraBlock(nn.Module):
    """Pre-norm attention and MLP. The first block of a later stage widens and halves the map."""

    def __init__(self, in_dim: int, dim: int, *, heads: int, window: int | None) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(in_dim, eps=1e-6)
        self.attn = PooledAttention(in_dim, dim, heads=heads, pool=in_dim != dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = GeluMlp(dim)
        self.proj: nn.Linear | None = nn.Linear(in_dim, dim) if in_dim != dim else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, in] -> [B, H, W, dim], at half the resolution if queries are pooled."""
        normed = self.norm1(x)
        shortcut = x if self.proj is None else max_pool_2x2(self.proj(normed))
        x = shortcut + self._attend(normed, (shortcut.shape[1], shortcut.shape[2]))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]

    def _attend(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """[B, H, W, in] -> [B, *size, dim]."""
        if self.window is None:
            return self.attn(x.flatten(1, 2), x.shape[1]).unflatten(1, size)  # type: ignore[no-any-return]
        mixed = self.attn(to_windows(x, self.window), self.window)
        return from_windows(mixed, self.window // 2 if self.attn.pool else self.window, size)


class Hiera(nn.Module):
    """`image` [B, 3, S, S] -> the maps of the four stages, strides 4, 8, 16 and 32."""

    def __init__(self, size: HieraSize, *, frame: int = 1024) -> None:
        super().__init__()
        self.grid = frame // 4
        width, side = size.width, size.background
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, width, side, side))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, width, *2 * size.windows[:1]))
        self.blocks = nn.ModuleList(_blocks(size))
        self.last_of_stage = tuple(sum(size.depths[: i + 1]) - 1 for i in range(4))
        self._positions: Tensor | None = None

    def positions(self) -> Tensor:
        """[1, grid, grid, C]: the small table resized to the grid, plus the tiled window table."""
        if self._positions is not None:
            return self._positions
        frame = F.interpolate(self.pos_embed, size=(self.grid, self.grid), mode="bicubic")
        times = self.grid // self.pos_embed_window.shape[-1]
        return (frame + self.pos_embed_window.tile(1, 1, times, times)).permute(0, 2, 3, 1)

    def bake(self) -> None:
        """Turn the positions into a constant. Call it on a copy, before capture."""
        positions = self.positions().detach().contiguous()
        del self._positions
        self.register_buffer("_positions", positions, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four maps [B, C, H, W], from fine to coarse."""
        x = self.patch_embed(image) + self.positions()
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.last_of_stage:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


def _blocks(size: HieraSize) -> list[HieraBlock]:
    """All blocks in order. A stage's first block has the window of the stage before."""
    blocks: list[HieraBlock] = []
    for stage, depth in enumerate(size.depths):
        dim, heads = size.width * 2**stage, size.heads * 2**stage
        for place in range(depth):
            first = place == 0 and stage > 0
            window = size.windows[stage - 1 if first else stage]
            whole = len(blocks) in size.global_blocks
            blocks.append(
                HieraBlock(
                    dim // 2 if first else dim, dim, heads=heads, window=None if whole else window
                )
            )
    return blocks
