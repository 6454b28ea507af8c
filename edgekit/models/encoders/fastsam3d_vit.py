"""FastSAM3D's student encoder: a small ViT over the patches of a volume.

Sources: Shen et al., arXiv 2403.09827; arcadelab/FastSAM3D, image_encoder3D.py, whose tensor names
are kept. Weights were trained with two oddities of that code, so both are kept: the MLP's residual
is the normalised input, and relative positions are added along the wrong axes (see `places`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgekit.models.encoders.sam_vit import Mlp
from edgekit.models.sam.layers import LayerNorm3d

PATCH = 16
WIDTH = 768
DEPTH = 6
HEADS = 6
WITHOUT_ATTENTION = 2
"""The first blocks, which are an MLP alone."""


class VolumePatchEmbed(nn.Module):
    """16 x 16 x 16 patches: [B, 1, 16 D, 16 H, 16 W] -> [B, D, H, W, 768]."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv3d(1, WIDTH, PATCH, stride=PATCH)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the volume."""
        return self.proj(image).permute(0, 2, 3, 4, 1)  # type: ignore[no-any-return]


class VolumeAttention(nn.Module):
    """Self-attention of the tokens of a cube, with a learned bias per offset along each axis."""

    def __init__(self, *, side: int) -> None:
        super().__init__()
        self.side, self.head_dim = side, WIDTH // HEADS
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.rel_pos_d = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))
        self._tables: Tensor | None = None

    def tables(self) -> Tensor:
        """[3, side, head_dim, side]: each axis' table, for each query and key place."""
        if self._tables is not None:
            return self._tables
        places = torch.arange(self.side, device=self.rel_pos_d.device)
        offset = places[:, None] - places[None] + self.side - 1
        tables = (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w)
        return torch.stack([table[offset] for table in tables]).transpose(-2, -1)

    def bake(self) -> None:
        """Turn the gathered tables into a constant. Call it on a copy, before capture."""
        tables = self.tables().detach().contiguous()
        del self._tables
        self.register_buffer("_tables", tables, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, side^3, 768] -> the same shape."""
        q, k, v = (self._split_heads(part) for part in self.qkv(x).chunk(3, dim=-1))
        scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
        side, tokens = self.side, self.side**3
        scores = scores.reshape(-1, side, side, side, side) + self.places(q)
        mixed = torch.softmax(scores.reshape(-1, tokens, tokens), dim=-1) @ v
        mixed = mixed.reshape(-1, HEADS, tokens, self.head_dim)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def places(self, q: Tensor) -> Tensor:
        """What relative positions add to the scores.

        Upstream adds each axis' term along an axis of another name. With D, H and W for the tables
        of the three axes, the score of the query (d, h, w) and the key (i, j, k) gets

            q[d, h, w] . D[d, k] + q[d, h, i] . H[h, k] + q[d, h, j] . W[j, k]

        which works because all sides are equal.

        Args:
            q: [B * heads, side^3, head_dim], not scaled.

        Returns:
            [B * heads * side^2, side, side, side, side]: d and h, then w, i, j and k.
        """
        side, (depth, height, width) = self.side, self.tables()
        of_d: Tensor = q.reshape(-1, side, side**2, self.head_dim) @ depth
        of_h: Tensor = q.reshape(-1, side, side, self.head_dim) @ height
        of_w: Tensor = q.reshape(-1, side, 1, self.head_dim) @ width
        first_two = of_d.reshape(-1, side, 1, 1, side) + of_h.reshape(-1, 1, side, 1, side)
        return first_two + of_w.reshape(-1, 1, 1, side, side)

    def _split_heads(self, x: Tensor) -> Tensor:
        """[B, tokens, 768] -> [B * heads, tokens, head_dim]."""
        heads: Tensor = torch.unflatten(x, -1, (HEADS, -1))
        return heads.transpose(1, 2).flatten(0, 1)


class VolumeBlock(nn.Module):
    """Attention, except in the first blocks, and an MLP; over all tokens of the cube."""

    def __init__(self, *, side: int, attends: bool) -> None:
        super().__init__()
        self.attends = attends
        if attends:
            self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
            self.attn = VolumeAttention(side=side)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.mlp = Mlp(WIDTH, 4 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """[B, tokens, 768] -> the same shape."""
        if self.attends:
            x = x + self.attn(self.norm1(x))
        x = self.norm2(x)  # upstream's residual is the normalised input
        return x + self.mlp(x)  # type: ignore[no-any-return]


class FastSam3dEncoder(nn.Module):
    """`image` [B, 1, 128, 128, 128] -> `image_embeddings` [B, 384, 8, 8, 8]."""

    def __init__(self, *, frame: int = 128, channels: int = 384) -> None:
        super().__init__()
        side = frame // PATCH
        self.patch_embed = VolumePatchEmbed()
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, side, WIDTH))
        self.blocks = nn.ModuleList(
            VolumeBlock(side=side, attends=index >= WITHOUT_ATTENTION) for index in range(DEPTH)
        )
        self.neck = nn.Sequential(
            nn.Conv3d(WIDTH, channels, 1, bias=False),
            LayerNorm3d(channels),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            LayerNorm3d(channels),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised volume."""
        grid = self.patch_embed(image) + self.pos_embed
        x = grid.flatten(1, 3)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.reshape(grid.shape).permute(0, 4, 1, 2, 3))  # type: ignore[no-any-return]
