"""SAM-Lightening's image encoder: SAM's ViT with dilated attention in place of windows.

Sources: Song et al., arXiv 2403.09195; Songyanfei/SAM-LIGHTENING, whose tensor names are kept. This
is `DilatedSAM_vit_t` as its code computes it, which is not what the paper describes:

- A token attends to the tokens at the same place of the other windows, not within its window: the
  windows are passed where the attention expects the sequence. A block over the whole map has one
  window, so there attention is the value projection alone.
- Every second column is attended to, and the others get the bias of the last layer. The code's loop
  over the offsets ends one step early.
- Dilation 2 makes 3 heads of 128 channels out of 6 of 64, but scores are scaled for 64.

Upstream keeps the attention's weights in bfloat16; here they are float32. Upstream counts all
photos of a batch as windows of one, so a photo's embedding depends on its neighbours. Here each
photo is embedded alone, as upstream does with one photo.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.encoders.layers import sam_neck
from edgekit.models.encoders.sam_vit import WINDOW, Mlp, PatchEmbed
from edgekit.models.encoders.windows import from_windows, to_windows

WIDTH, DEPTH, HEADS = 384, 6, 6
GLOBAL_BLOCKS = (2, 5)
DILATION = 2


class HeadProjections(nn.Module):
    """The projections of multi-head attention, under the names of the flash-attn package."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)


class DilatedAttention(nn.Module):
    """Attention of every second token to those at its place in the photo's other windows."""

    def __init__(self, dim: int, *, heads: int = HEADS, windows: int) -> None:
        super().__init__()
        self.heads, self.windows = heads // DILATION, windows
        self.scale = (dim // heads) ** -0.5
        self.multihead_attn = HeadProjections(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B * windows, tokens, C] -> the same shape, for an even number of tokens per window."""
        attended = self._attend(_every_second(x))
        mixed = self.proj(self.multihead_attn.out_proj(attended))
        others = self.proj.bias.expand_as(mixed)
        return torch.cat([mixed, others], dim=-1).reshape(x.shape)

    def _attend(self, x: Tensor) -> Tensor:
        """[B * windows, places, C] -> the attended values, in the same shape."""
        qkv = self.multihead_attn.Wqkv
        if self.windows == 1:  # a softmax over one score is 1
            dim = x.shape[-1]
            return nn.functional.linear(x, qkv.weight[2 * dim :], qkv.bias[2 * dim :])
        q, k, v = (self._by_place(part) for part in qkv(x).chunk(3, dim=-1))
        mixed = torch.softmax((q * self.scale) @ k.transpose(-2, -1), dim=-1) @ v
        mixed = mixed.transpose(1, 2).reshape(-1, x.shape[1], self.windows, x.shape[2])
        return mixed.transpose(1, 2).reshape(x.shape)

    def _by_place(self, x: Tensor) -> Tensor:
        """[B * windows, places, C] -> [B * places, heads, windows, head_dim]."""
        places = x.reshape(-1, self.windows, *x.shape[1:]).transpose(1, 2).flatten(0, 1)
        heads: Tensor = torch.unflatten(places, -1, (self.heads, -1))
        return heads.transpose(1, 2)


def _every_second(x: Tensor) -> Tensor:
    """[n, tokens, C] -> [n, tokens / 2, C]: the first, the third and so on."""
    return x.reshape(x.shape[0], -1, DILATION * x.shape[2])[..., : x.shape[2]]


class DilatedBlock(nn.Module):
    """Pre-norm attention and MLP; without a `window`, the map is a single one."""

    def __init__(self, dim: int, *, window: int | None, grid: int) -> None:
        super().__init__()
        self.window = window or grid
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = DilatedAttention(dim, windows=(-(-grid // self.window)) ** 2)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        windows = self.attn(to_windows(self.norm1(x), self.window))
        x = x + from_windows(windows, self.window, (x.shape[1], x.shape[2]))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class DilatedVitEncoder(nn.Module):
    """`image` [B, 3, 16 * grid, 16 * grid] -> `image_embeddings` [B, 256, grid, grid]."""

    def __init__(self, *, grid: int = 64) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(WIDTH)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, WIDTH))
        self.blocks = nn.Sequential(
            *(
                DilatedBlock(WIDTH, window=None if i in GLOBAL_BLOCKS else WINDOW, grid=grid)
                for i in range(DEPTH)
            )
        )
        self.neck = sam_neck(WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        x = self.blocks(self.patch_embed(image) + self.pos_embed)
        return self.neck(x.permute(0, 3, 1, 2))  # type: ignore[no-any-return]
