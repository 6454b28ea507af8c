"""EfficientSAM's image encoder: a plain ViT with global attention in every block, and SAM's neck.

Sources: Dosovitskiy et al., arXiv 2010.11929 (ViT); Xiong et al., arXiv 2312.00863 (EfficientSAM);
yformer/EfficientSAM, whose tensor names are kept. Tokens are [B, H * W, C].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.layers import sam_neck

DEPTH = 12
PATCH = 16
TABLE = 14  # side of the stored position table, made for photos of 224 pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainVitSize:
    """Channels and attention heads, the same in all twelve blocks."""

    width: int
    heads: int


SIZES = {"ti": PlainVitSize(width=192, heads=3), "s": PlainVitSize(width=384, heads=6)}


class PatchEmbed(nn.Module):
    """16x16 patches: [B, 3, H, W] -> [B, H / 16 * W / 16, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.proj(image).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    """Self-attention over all tokens at rank 4: two MatMuls around a Softmax."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = torch.unflatten(x, -1, (self.heads, self.head_dim))
        return heads.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, dim] -> [B, N, dim]."""
        q, k, v = (self._split(part) for part in self.qkv(x).chunk(3, dim=-1))
        scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class GeluMlp(nn.Module):
    """Two linear layers with expansion 4 and GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class VitBlock(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads=heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = GeluMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, dim] -> [B, N, dim]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class PlainVitEncoder(nn.Module):
    """`image` [B, 3, frame, frame] -> `image_embeddings` [B, 256, frame / 16, frame / 16].

    As upstream, it has no norm after the blocks.
    """

    def __init__(self, size: PlainVitSize, *, frame: int = 1024) -> None:
        super().__init__()
        self.grid = frame // PATCH
        self.patch_embed = PatchEmbed(size.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TABLE * TABLE, size.width))
        self.blocks = nn.Sequential(*(VitBlock(size.width, heads=size.heads) for _ in range(DEPTH)))
        self.neck = sam_neck(size.width)
        self._positions: Tensor | None = None

    def positions(self) -> Tensor:
        """[1, grid^2, C]: the stored table without its class token, resized to the grid."""
        if self._positions is not None:
            return self._positions
        table = torch.unflatten(self.pos_embed[:, 1:], 1, (TABLE, TABLE)).permute(0, 3, 1, 2)
        resized = F.interpolate(table, size=(self.grid, self.grid), mode="bicubic")
        return resized.flatten(2).transpose(1, 2)

    def bake(self) -> None:
        """Turn the positions into a constant. Call it on a copy, before capture."""
        positions = self.positions().detach().contiguous()
        del self._positions, self.pos_embed
        self.register_buffer("_positions", positions, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised photo."""
        tokens = self.blocks(self.patch_embed(image) + self.positions())
        maps = torch.unflatten(tokens.transpose(1, 2), 2, (self.grid, self.grid))
        return self.neck(maps)  # type: ignore[no-any-return]
