"""SAM's two-way transformer: tokens attend to the image, and the image to the tokens.

Source: facebookresearch/segment-anything, modeling/transformer.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than the model's.

    It has rank 4 throughout, as two MatMuls around a Softmax. ONNX Runtime, OpenVINO, Core ML and
    LiteRT all take this form; LiteRT converts higher ranks wrongly
    (google-ai-edge/litert-samples#289).
    """

    def __init__(self, dim: int, *, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = dim // downsample
        self.heads, self.head_dim = heads, inner // heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, n, heads * head_dim] -> [B, heads, n, head_dim]."""
        heads: Tensor = torch.unflatten(x, -1, (self.heads, self.head_dim))
        return heads.transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, key_bias: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            q: [B, Tq, dim].
            k: [B, Tk, dim].
            v: [B, Tk, dim].
            key_bias: [B, 1, 1, Tk], added to the scores to hide empty slots.

        Returns:
            [B, Tq, dim].
        """
        q = self.split_heads(self.q_proj(q)) * (1 / math.sqrt(self.head_dim))
        k, v = self.split_heads(self.k_proj(k)), self.split_heads(self.v_proj(v))
        scores = q @ k.transpose(-2, -1)
        if key_bias is not None:
            scores = scores + key_bias
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


MlpOf = Callable[[int, int], nn.Module]
"""Builds an MLP from its outer and inner width; the families name the MLP's layers differently."""


class TokenMlp(nn.Module):
    """Two linear layers with ReLU, under SAM's names `lin1` and `lin2`."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return self.lin2(F.relu(self.lin1(x)))  # type: ignore[no-any-return]


class TwoWayBlock(nn.Module):
    """Self-attention of the tokens, tokens to image, MLP, image to tokens; norms come after."""

    def __init__(self, dim: int, *, heads: int, mlp: nn.Module, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim, heads=heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads=heads, downsample=2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads=heads, downsample=2)

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        token_pe: Tensor,
        image_pe: Tensor,
        key_bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens and image after this block; shapes as in `TwoWayTransformer.forward`."""
        tokens = self.norm1(self.self_attend(tokens, token_pe, key_bias))
        keys = image + image_pe
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, keys, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        back = self.cross_attn_image_to_token(keys, tokens + token_pe, tokens, key_bias)
        return tokens, self.norm4(image + back)

    def self_attend(self, tokens: Tensor, token_pe: Tensor, key_bias: Tensor | None) -> Tensor:
        """Self-attention of the tokens."""
        if self.first:  # the first block adds neither positions nor a residual
            return self.self_attn(tokens, tokens, tokens, key_bias)  # type: ignore[no-any-return]
        q = tokens + token_pe
        return tokens + self.self_attn(q, q, tokens, key_bias)  # type: ignore[no-any-return]


class TwoWayTransformer(nn.Module):
    """Two blocks, then a final attention of the tokens to the image."""

    def __init__(
        self,
        dim: int = 256,
        *,
        depth: int = 2,
        heads: int = 8,
        hidden: int = 2048,
        mlp: MlpOf = TokenMlp,
        block: type[TwoWayBlock] = TwoWayBlock,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            block(dim, heads=heads, mlp=mlp(dim, hidden), first=i == 0) for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(dim, heads=heads, downsample=2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(
        self, tokens: Tensor, image: Tensor, image_pe: Tensor, key_bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let tokens and image attend to each other.

        Args:
            tokens: [B, T, dim], which also serve as their own positional encoding.
            image: [B, grid * grid, dim].
            image_pe: [1, grid * grid, dim].
            key_bias: [B, 1, 1, T], a large negative number for empty slots and 0 for the others;
                None where no slot is empty.

        Returns:
            Tokens and image, in the same shapes.
        """
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe, key_bias)
        look = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + look), image
