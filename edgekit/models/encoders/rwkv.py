"""RWKV-SAM's blocks: tokens mixed in linear time by decaying weights, in both directions.

Sources: Yuan et al., arXiv 2406.19369; Duan et al., arXiv 2403.02308 (Vision-RWKV);
HarborYuan/ovsam, whose tensor names are kept. Maps are [B, H, W, C]; a map's tokens are its pixels,
row by row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNKS = 32
"""Upstream's kernel works on this many chunks of tokens, and its sums depend on it."""


class Wkv(nn.Module):
    """Weighted means of values, in which a token's weight decays with its distance.

    For each channel, with decay w and bonus u, Vision-RWKV defines token t's mean as

        sum of exp(k_i - (|t - i| - 1) w) v_i over all i except t, plus exp(k_t + u) v_t,

    divided by the same sum without v. Upstream's kernel walks through chunks of tokens and enters
    each a step late. With P and F the parts of the sum over earlier and later tokens, and s the
    first token of t's chunk, it takes

        P_t - exp(-w (t - s)) (1 - exp(-w)) P_s   and   F_t - exp(w (t - s)) (1 - exp(-w)) F_s

    in place of P_t and F_t, and so does this. Only the 1e-6 that the kernel adds to the divisor is
    left out.

    Nothing here loops over tokens. exp(-w |t - i|) is a factor of t times a factor of i, so the
    sums within chunks are products with a triangular matrix of ones, and so are those over chunks.
    Memory grows linearly with the tokens. Less their channel's maximum, keys cannot overflow; and
    as the largest key counts at every token, no divisor vanishes while the decay over the whole
    map, w * tokens, is within +-70.
    """

    earlier: Tensor
    earlier_chunks: Tensor
    growth: Tensor
    chunk_growth: Tensor
    step: Tensor
    bonus: Tensor

    def __init__(self, decay: Tensor, bonus: Tensor, *, tokens: int) -> None:
        """From w and u, [C]; `tokens` is a multiple of `CHUNKS`."""
        super().__init__()
        length = tokens // CHUNKS
        self._keep("earlier", torch.ones(length, length).to(decay).tril(-1))
        self._keep("earlier_chunks", torch.ones(CHUNKS, CHUNKS).to(decay).tril(-1))
        self._keep("growth", _growth(decay, length))
        self._keep("chunk_growth", _growth(length * decay, CHUNKS))
        self._keep("step", torch.exp(-decay))
        self._keep("bonus", torch.exp(bonus - decay))

    def _keep(self, name: str, table: Tensor) -> None:
        self.register_buffer(name, table, persistent=False)

    def forward(self, k: Tensor, v: Tensor) -> Tensor:
        """Keys and values [B, tokens, C] -> means of the same shape."""
        weights = torch.exp(k - k.amax(dim=1, keepdim=True))
        both = torch.cat([weights * v, weights])
        both = both.reshape(-1, CHUNKS, k.shape[1] // CHUNKS, k.shape[2])
        # All sums are divided by exp(w), which the quotient does not show.
        sums = both * self.bonus + self._from_earlier(both) + self._from_later(both)
        above, below = sums.reshape(-1, *k.shape[1:]).chunk(2)
        return above / below

    def _from_earlier(self, x: Tensor) -> Tensor:
        """What the earlier tokens add at each token of [n, CHUNKS, length, C]."""
        grown = x * self.growth[0]
        chunks = grown.sum(dim=2) * self.chunk_growth[0]
        carried = (self.earlier_chunks @ chunks) * self.chunk_growth[1] * self.step
        return (self.earlier @ grown + carried.unsqueeze(2)) * self.growth[1]

    def _from_later(self, x: Tensor) -> Tensor:
        """What the later tokens add, in the same way."""
        grown = x * self.growth[1]
        chunks = grown.sum(dim=2) * self.chunk_growth[1]
        carried = (self.earlier_chunks.t() @ chunks) * self.chunk_growth[0] * self.step
        within = self.earlier.t() @ grown
        carried = carried.unsqueeze(2) - within[:, :, :1] * (1 - self.step)
        return (within + carried) * self.growth[0]


def _growth(decay: Tensor, steps: int) -> Tensor:
    """[2, steps, C]: exp(decay * step), counted from the middle, and 1 divided by it."""
    offsets = torch.arange(steps).to(decay) - (steps - 1) / 2
    exponents = offsets[:, None] * decay
    return torch.exp(torch.stack([exponents, -exponents]))


def neighbours(x: Tensor) -> Tensor:
    """[B, H, W, C] -> the same shape: each quarter of the channels moved by one pixel.

    The quarters take the pixel at the left, at the right, above and below; beyond the edge is 0.
    """
    left, right, above, below = x.chunk(4, dim=-1)
    moved = (
        F.pad(left[:, :, :-1], (0, 0, 1, 0)),
        F.pad(right[:, :, 1:], (0, 0, 0, 1)),
        F.pad(above[:, :-1], (0, 0, 0, 0, 1, 0)),
        F.pad(below[:, 1:], (0, 0, 0, 0, 0, 1)),
    )
    return torch.cat(moved, dim=-1)


class SpatialMix(nn.Module):
    """Mixes tokens: gated weighted means of all tokens' values."""

    def __init__(self, dim: int, *, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.spatial_decay = nn.Parameter(torch.zeros(dim))
        self.spatial_first = nn.Parameter(torch.zeros(dim))
        self.spatial_mix_k = nn.Parameter(torch.ones(1, 1, dim))
        self.spatial_mix_v = nn.Parameter(torch.ones(1, 1, dim))
        self.spatial_mix_r = nn.Parameter(torch.ones(1, 1, dim))
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.receptance = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self._wkv: Wkv | None = None

    def wkv(self) -> Wkv:
        """The weighted means with this layer's decays, which are stored for the whole map."""
        if self._wkv is not None:
            return self._wkv
        decay, bonus = self.spatial_decay / self.tokens, self.spatial_first / self.tokens
        return Wkv(decay, bonus, tokens=self.tokens)

    def bake(self) -> None:
        """Turn the powers of the decays into constants. Call it on a copy, before capture."""
        self._wkv = self.wkv()

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        near = neighbours(x)
        own = x - near
        k = self.key(near + own * self.spatial_mix_k).flatten(1, 2)
        v = self.value(near + own * self.spatial_mix_v).flatten(1, 2)
        gate = torch.sigmoid(self.receptance(near + own * self.spatial_mix_r))
        return self.output(gate * self.wkv()(k, v).reshape(x.shape))  # type: ignore[no-any-return]


class ChannelMix(nn.Module):
    """Mixes channels: a gated MLP with a squared ReLU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.spatial_mix_k = nn.Parameter(torch.ones(1, 1, dim))
        self.spatial_mix_r = nn.Parameter(torch.ones(1, 1, dim))
        self.key = nn.Linear(dim, 2 * dim, bias=False)
        self.receptance = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(2 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        near = neighbours(x)
        own = x - near
        hidden = torch.square(torch.relu(self.key(near + own * self.spatial_mix_k)))
        gate = torch.sigmoid(self.receptance(near + own * self.spatial_mix_r))
        return gate * self.value(hidden)  # type: ignore[no-any-return]


class RwkvBlock(nn.Module):
    """Pre-norm spatial and channel mix, each with a learned scale per channel."""

    def __init__(self, dim: int, *, tokens: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SpatialMix(dim, tokens=tokens)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = ChannelMix(dim)
        self.layer_scale_1 = nn.Parameter(torch.ones(dim))
        self.layer_scale_2 = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape."""
        x = x + self.layer_scale_1 * self.attn(self.norm1(x))
        return x + self.layer_scale_2 * self.mlp(self.norm2(x))  # type: ignore[no-any-return]
