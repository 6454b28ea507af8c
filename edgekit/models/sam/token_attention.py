"""Attention between a few tokens and many image positions, projecting no image per prompt.

The results equal `Attention.forward` up to rounding. In the shapes, B counts prompts, T tokens and
K image positions. `token_side.py` says why.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from edgekit.models.sam.transformer import Attention


class MaskPrompt(NamedTuple):
    """The mask prompts' contribution to the image: `features @ weight + level`, [B, K, dim]."""

    features: Tensor
    """[B, K, rank], 0 for prompts without a mask."""
    weight: Tensor
    """[rank, dim]."""
    level: Tensor
    """[B, 1, dim]."""


def tokens_to_image(attention: Attention, tokens: Tensor, keys: Tensor, image: Tensor) -> Tensor:
    """`attention(tokens, keys, image)`: tokens [B, T, dim], keys and image [B, K, dim]."""
    queries = _queries(attention, tokens)
    folded = (queries @ _by_head(attention, attention.k_proj.weight)).flatten(1, 2)
    # The keys' bias adds the same number to all scores of a query, so softmax cancels it.
    share = torch.softmax(folded @ keys.transpose(1, 2), dim=-1)
    attended = (share @ image).reshape(-1, *queries.shape[1:3], image.shape[2])
    values = attended @ _by_head(attention, attention.v_proj.weight).transpose(1, 2)
    return _merge_heads(attention, values)


def tokens_to_shared_image(
    attention: Attention, tokens: Tensor, keys: Tensor, image: Tensor, added: MaskPrompt
) -> Tensor:
    """As `tokens_to_image`, for keys and image [1, K, dim] that all prompts share.

    Keys and values are projected once. `added`, the mask prompts' contribution to both, is computed
    in its few channels.
    """
    queries = _queries(attention, tokens)
    sizes = queries.shape[1:3]
    shared = _split_heads(attention, attention.k_proj(keys)).transpose(2, 3)
    scores = (queries @ shared).flatten(1, 2)
    own_keys = _by_head(attention, attention.k_proj.weight @ added.weight.t())
    scores = scores + (queries @ own_keys).flatten(1, 2) @ added.features.transpose(1, 2)
    share = torch.softmax(scores, dim=-1)
    own_values = _by_head(attention, attention.v_proj.weight @ added.weight.t()).transpose(1, 2)
    values = _split_heads(attention, image @ attention.v_proj.weight.t())
    attended = share.reshape(-1, *sizes, keys.shape[1]) @ values
    through = (share @ added.features).reshape(-1, *sizes, added.features.shape[2])
    attended = attended + through @ own_values
    return _merge_heads(attention, attended, level=added.level @ attention.v_proj.weight.t())


def image_to_tokens(
    attention: Attention,
    image: Tensor,
    keys: Tensor,
    tokens: Tensor,
    key_bias: Tensor,
    added: MaskPrompt | None = None,
) -> Tensor:
    """`attention(image, keys, tokens, key_bias)`: image [B or 1, K, dim], tokens [B, T, dim].

    With `added`, the queries are the image plus the mask prompts' contribution. The result then
    includes that contribution, so that adding the shared image to it gives the new image.
    """
    k = _split_heads(attention, attention.k_proj(keys)) / math.sqrt(attention.head_dim)
    sizes = k.shape[1:3]
    folded = (k @ _by_head(attention, attention.q_proj.weight)).flatten(1, 2).transpose(1, 2)
    shift = (k @ attention.q_proj.bias.reshape(attention.heads, -1, 1)).squeeze(-1).unsqueeze(1)
    # The shares of a head sum to 1, so adding bias / heads to every value adds the bias in all.
    level = attention.out_proj.bias if added is None else attention.out_proj.bias + added.level
    values = _split_heads(attention, attention.v_proj(tokens))
    values = values @ _by_head(attention, attention.out_proj.weight.t())
    values = (values + (level / attention.heads).unsqueeze(-2)).flatten(1, 2)
    scores = image @ folded
    if added is not None:
        scores = scores + added.features @ (added.weight @ folded)
        shift = shift + (added.level @ folded).reshape(-1, 1, *sizes)
    scores = scores.reshape(-1, image.shape[1], *sizes) + (shift + key_bias)
    share = torch.softmax(scores, dim=-1).flatten(2)
    if added is None:
        return share @ values
    weight = added.weight.unsqueeze(0).expand(values.shape[0], -1, -1)
    return torch.cat([share, added.features], dim=2) @ torch.cat([values, weight], dim=1)


def _by_head(attention: Attention, weight: Tensor) -> Tensor:
    """[heads * head_dim, n] -> [heads, head_dim, n]."""
    return weight.reshape(attention.heads, attention.head_dim, -1)


def _split_heads(attention: Attention, x: Tensor) -> Tensor:
    """[B, n, heads * head_dim] -> [B, heads, n, head_dim]."""
    return x.reshape(*x.shape[:2], attention.heads, attention.head_dim).transpose(1, 2)


def _queries(attention: Attention, tokens: Tensor) -> Tensor:
    return _split_heads(attention, attention.q_proj(tokens)) / math.sqrt(attention.head_dim)


def _merge_heads(attention: Attention, values: Tensor, *, level: Tensor | float = 0.0) -> Tensor:
    """Attended values [B, heads, T, head_dim], without their bias -> [B, T, dim]."""
    joined = values.transpose(1, 2).flatten(2) + (attention.v_proj.bias + level)
    return attention.out_proj(joined)  # type: ignore[no-any-return]
