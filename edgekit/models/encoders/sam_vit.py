"""SAM's image encoder: a plain ViT with windowed and a few global blocks, and its pruned kin.

Kirillov et al., arXiv 2304.02643, appendix A; windows and decomposed relative positions after Li et
al., arXiv 2203.16527 (ViTDet). Names are those of facebookresearch/segment-anything. Maps are
[B, H, W, C] throughout; nothing has a rank above 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.layers import sam_neck
from edgekit.models.encoders.windows import from_windows, to_windows

WINDOW = 14
PATCH = 16
MAX_ROWS = 16
"""Rows of a square whose queries attend at once: no less than a window has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitBlockSize:
    """One block: heads, channels of a head in q and k and in v, hidden channels of the MLP.

    `split`: q, k and v are three layers, as pruning leaves them that treats each on its own.
    """

    heads: int
    head_dim: int
    value_dim: int
    hidden: int
    split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VitSize:
    """What tells the variants apart; `global_blocks` see the whole map, the others windows."""

    width: int
    blocks: tuple[VitBlockSize, ...]
    global_blocks: tuple[int, ...]
    grid: int = 64


def uniform(
    *, width: int, depth: int, heads: int, global_blocks: tuple[int, ...], hidden: int | None = None
) -> VitSize:
    """A size whose blocks are all alike; the MLP is four times as wide unless told."""
    dim = width // heads
    block = VitBlockSize(heads=heads, head_dim=dim, value_dim=dim, hidden=hidden or 4 * width)
    return VitSize(width=width, blocks=(block,) * depth, global_blocks=global_blocks)


def split(size: VitSize) -> VitSize:
    """The same size with q, k and v as three layers."""
    return replace(size, blocks=tuple(replace(block, split=True) for block in size.blocks))


SIZES = {
    "b": uniform(width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11)),
    "l": uniform(width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
    "h": uniform(width=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31)),
}


class PatchEmbed(nn.Module):
    """16 x 16 patches: [B, 3, H, W] -> [B, H / 16, W / 16, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.proj(image).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class RelativeAttention(nn.Module):
    """Self-attention within a square, with a learned bias per row offset and column offset.

    The bias of a pair of tokens is q . row_table[dy] + q . column_table[dx]: two products of q with
    gathered tables, per row and per column of the square, instead of upstream's einsums. Queries
    are taken `MAX_ROWS` rows at a time, which changes nothing but memory: the scores of all at once
    are 805 MB in a global block of ViT-B, several times over.
    """

    def __init__(self, dim: int, size: VitBlockSize, *, side: int) -> None:
        super().__init__()
        self.size, self.side = size, side
        inner, values = size.heads * size.head_dim, size.heads * size.value_dim
        if size.split:
            self.q, self.k = nn.Linear(dim, inner), nn.Linear(dim, inner)
            self.v = nn.Linear(dim, values)
        else:
            self.qkv = nn.Linear(dim, 3 * inner)
        self.proj = nn.Linear(values, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, size.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, size.head_dim))
        self._tables: Tensor | None = None

    def tables(self) -> Tensor:
        """[2, side, head_dim, side]: for rows and columns, by place of the query, key last."""
        if self._tables is not None:
            return self._tables
        places = torch.arange(self.side, device=self.rel_pos_h.device)
        offset = places[:, None] - places[None] + self.side - 1
        both = torch.stack([self.rel_pos_h[offset], self.rel_pos_w[offset]])
        return both.transpose(-2, -1)

    def bake(self) -> None:
        """Keep the gathered tables as a constant: call on a copy, before capture."""
        tables = self.tables().detach().contiguous()
        del self._tables
        self.register_buffer("_tables", tables, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[squares, side^2, C] -> the same shape."""
        q, k, v = (self._heads(part) for part in self._projected(x))
        rows, columns = self.tables()
        parts = [
            self._attended(queries, k, v, places, columns)
            for queries, places in self._in_steps(q, rows)
        ]
        mixed = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        mixed = mixed.reshape(-1, self.size.heads, self.side**2, self.size.value_dim)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _in_steps(self, q: Tensor, rows: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        """Queries and their rows' table, `MAX_ROWS` rows of the square at a time."""
        if self.side <= MAX_ROWS:
            return [(q, rows)]  # litert-torch 0.10 fails on a split into one part
        step = MAX_ROWS * self.side
        return zip(torch.split(q, step, dim=1), torch.split(rows, MAX_ROWS), strict=True)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Queries of some rows of the square, [n, rows * side, channels], to mixed values."""
        side, tokens = self.side, q.shape[1]
        grid = q.reshape(-1, len(rows), side, self.size.head_dim)
        by_row = (grid @ rows).reshape(-1, tokens, side, 1)
        by_column = (grid.transpose(1, 2) @ columns).transpose(1, 2).reshape(-1, tokens, 1, side)
        scores = (q * (1 / math.sqrt(self.size.head_dim))) @ k.transpose(-2, -1)
        scores = scores.reshape(-1, tokens, side, side) + by_row + by_column
        return torch.softmax(scores.reshape(-1, tokens, side**2), dim=-1) @ v

    def _projected(self, x: Tensor) -> Sequence[Tensor]:
        """q, k and v, [squares, side^2, heads * channels]."""
        if self.size.split:
            return self.q(x), self.k(x), self.v(x)
        return self.qkv(x).chunk(3, dim=-1)  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        """[squares, side^2, heads * channels] -> [squares * heads, side^2, channels]."""
        heads: Tensor = torch.unflatten(x, -1, (self.size.heads, -1))
        return heads.transpose(1, 2).flatten(0, 1)


class Mlp(nn.Module):
    """Two linear layers around GELU, under SAM's names."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return self.lin2(F.gelu(self.lin1(x)))  # type: ignore[no-any-return]


class VitBlock(nn.Module):
    """Pre-norm attention and MLP; `window` None means the whole map of `grid` x `grid` tokens."""

    def __init__(self, dim: int, size: VitBlockSize, *, window: int | None, grid: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativeAttention(dim, size, side=window or grid)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, size.hidden)

    def _attend(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        size = (x.shape[1], x.shape[2])
        if self.window is None:
            return self.attn(x.flatten(1, 2)).unflatten(1, size)  # type: ignore[no-any-return]
        return from_windows(self.attn(to_windows(x, self.window)), self.window, size)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class SamVitEncoder(nn.Module):
    """`image` [B, 3, 16 * grid, 16 * grid] -> `image_embeddings` [B, 256, grid, grid]."""

    def __init__(self, size: VitSize) -> None:
        super().__init__()
        self.first_global = min(size.global_blocks)
        self.patch_embed = PatchEmbed(size.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, size.grid, size.grid, size.width))
        self.blocks = nn.ModuleList(
            VitBlock(
                size.width,
                block,
                window=None if index in size.global_blocks else WINDOW,
                grid=size.grid,
            )
            for index, block in enumerate(size.blocks)
        )
        self.neck = sam_neck(size.width)

    def forward(self, image: Tensor) -> Tensor:
        """Normalised, padded photo to embeddings."""
        return self.with_early(image)[0]

    def with_early(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings, and the first global block's output [B, C, grid, grid] for SAM-HQ."""
        x = self.patch_embed(image) + self.pos_embed
        early = x
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == self.first_global:
                early = x
        return self.neck(x.permute(0, 3, 1, 2)), early.permute(0, 3, 1, 2)
