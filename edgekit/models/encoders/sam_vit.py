"""SAM's image encoder: a ViT with windowed blocks and a few global ones; also its pruned variants.

Sources: Kirillov et al., arXiv 2304.02643, appendix A; Li et al., arXiv 2203.16527 (ViTDet: windows
and decomposed relative positions); facebookresearch/segment-anything, whose tensor names are kept.
Maps are [B, H, W, C] throughout; no tensor has a rank above 4.
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
"""The number of rows of a square whose queries attend at once; at least a window's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitBlockSize:
    """One block: heads, channels per head in q and k (`head_dim`) and in v, and the MLP's width.

    `split` makes q, k and v three layers, as in models that were pruned layer by layer.
    """

    heads: int
    head_dim: int
    value_dim: int
    hidden: int
    split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VitSize:
    """The numbers in which the variants differ.

    The blocks in `global_blocks` see the whole map, the others a window.
    """

    width: int
    blocks: tuple[VitBlockSize, ...]
    global_blocks: tuple[int, ...]
    grid: int = 64


def uniform(
    *, width: int, depth: int, heads: int, global_blocks: tuple[int, ...], hidden: int | None = None
) -> VitSize:
    """A size whose blocks are all alike; the MLP's hidden width is 4 * `width` by default."""
    dim = width // heads
    block = VitBlockSize(heads=heads, head_dim=dim, value_dim=dim, hidden=hidden or 4 * width)
    return VitSize(width=width, blocks=(block,) * depth, global_blocks=global_blocks)


def split(size: VitSize) -> VitSize:
    """The same size, with q, k and v as three layers."""
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

    The bias of a pair of tokens is q . row_table[dy] + q . column_table[dx]. It is computed as two
    products of q with gathered tables, per row and per column of the square, instead of upstream's
    einsums. Queries attend `MAX_ROWS` rows at a time, which saves memory and changes no result: in
    a global block of ViT-B, the scores of all queries take 805 MB, and several copies exist at
    once.
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
        """[2, side, head_dim, side]: the row and column tables, for each query and key place."""
        if self._tables is not None:
            return self._tables
        places = torch.arange(self.side, device=self.rel_pos_h.device)
        offset = places[:, None] - places[None] + self.side - 1
        both = torch.stack([self.rel_pos_h[offset], self.rel_pos_w[offset]])
        return both.transpose(-2, -1)

    def bake(self) -> None:
        """Turn the gathered tables into a constant. Call it on a copy, before capture."""
        tables = self.tables().detach().contiguous()
        del self._tables
        self.register_buffer("_tables", tables, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[squares, side^2, C] -> the same shape."""
        q, k, v = (self._split_heads(part) for part in self._project(x))
        rows, columns = self.tables()
        parts = [
            self._attend(queries, k, v, places, columns)
            for queries, places in self._query_steps(q, rows)
        ]
        mixed = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        mixed = mixed.reshape(-1, self.size.heads, self.side**2, self.size.value_dim)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _query_steps(self, q: Tensor, rows: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        """Queries and their part of the row table, `MAX_ROWS` rows of the square at a time."""
        if self.side <= MAX_ROWS:
            return [(q, rows)]  # litert-torch 0.10 cannot convert a split into a single part
        step = MAX_ROWS * self.side
        return zip(torch.split(q, step, dim=1), torch.split(rows, MAX_ROWS), strict=True)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Attention of the queries [n, rows * side, channels] of some rows to the whole square."""
        side, tokens = self.side, q.shape[1]
        grid = q.reshape(-1, len(rows), side, self.size.head_dim)
        by_row = (grid @ rows).reshape(-1, tokens, side, 1)
        by_column = (grid.transpose(1, 2) @ columns).transpose(1, 2).reshape(-1, tokens, 1, side)
        scores = (q * (1 / math.sqrt(self.size.head_dim))) @ k.transpose(-2, -1)
        scores = scores.reshape(-1, tokens, side, side) + by_row + by_column
        return torch.softmax(scores.reshape(-1, tokens, side**2), dim=-1) @ v

    def _project(self, x: Tensor) -> Sequence[Tensor]:
        """q, k and v, [squares, side^2, heads * channels]."""
        if self.size.split:
            return self.q(x), self.k(x), self.v(x)
        return self.qkv(x).chunk(3, dim=-1)  # type: ignore[no-any-return]

    def _split_heads(self, x: Tensor) -> Tensor:
        """[squares, side^2, heads * channels] -> [squares * heads, side^2, channels]."""
        heads: Tensor = torch.unflatten(x, -1, (self.size.heads, -1))
        return heads.transpose(1, 2).flatten(0, 1)


class Mlp(nn.Module):
    """Two linear layers with GELU between them, under SAM's names."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return self.lin2(F.gelu(self.lin1(x)))  # type: ignore[no-any-return]


class VitBlock(nn.Module):
    """Pre-norm attention and MLP; without a `window`, over the whole map of `grid` x `grid`."""

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
        """Embed a normalised, padded photo."""
        return self.embed_with_early_map(image)[0]

    def embed_with_early_map(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings, and for SAM-HQ the first global block's output [B, C, grid, grid]."""
        x = self.patch_embed(image) + self.pos_embed
        early = x
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == self.first_global:
                early = x
        return self.neck(x.permute(0, 3, 1, 2)), early.permute(0, 3, 1, 2)
