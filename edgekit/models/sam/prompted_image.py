"""The image of each prompt in SAM's decoder, without forming it.

The two-way transformer changes the image for each prompt: it adds the attended tokens to it, twice,
and normalises the sum. In full that is K = 4096 tokens of C = 256 channels per prompt, read and
written again and again. But all that a prompt adds is a sum of a few vectors, one per head and
token, with a weight at each position, and a layer norm changes only a scale and the vectors:

    image of a prompt = scale * image of the photo + rows^T @ vectors + a constant

    scale    one number per position
    rows     the attention's shares at each position: 8 heads x T tokens per block
    vectors  what each head adds for each token
    (for many tokens there are fewer of both, see `few_rows`)

A product of that image with any weight is `scale` times a product of the photo's image, computed
once per photo (`PhotoSide`), and a product with the few vectors. This holds for all that reads the
image: scores, attended values, the upsampling, and the variance in the next layer norm.

In the shapes, B counts prompts, H heads, T tokens, R rows, and positions come last.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgekit.models.sam.transformer import Attention


class Added(NamedTuple):
    """What the tokens of one block add to the image: rows^T @ vectors."""

    rows: Tensor
    """[B, R, K], the share of each token at each position, or fewer rows (`few_rows`)."""
    vectors: Tensor
    """[B, R, C]."""


class PromptedImage(NamedTuple):
    """The image of each prompt after a layer norm, up to a constant that its readers know."""

    scale: Tensor
    """[B, 1, K]."""
    rows: Tensor
    """[B, R, K]."""
    vectors: Tensor
    """[B, R, C]."""

    def scores(self, queries: Tensor, weight: Tensor, shared: Tensor, fixed: Tensor) -> Tensor:
        """The products of queries with a projection of the image.

        Args:
            queries: [B, H, T, head_dim].
            weight: the projection's, [H * head_dim, C].
            shared: the photo's map of that projection, [1, H * head_dim, grid, grid].
            fixed: what the projection adds for positions and constants, [1, H, head_dim, K].

        Returns:
            [B, H, T, K].
        """
        heads = queries.shape[1]
        own = (queries @ by_head(weight, heads)).flatten(1, 2) @ self.vectors.transpose(1, 2)
        added = queries @ fixed + torch.unflatten(own @ self.rows, 1, (heads, -1))
        return queries @ as_heads(shared, heads) * self.scale.unsqueeze(1) + added

    def attend(self, share: Tensor, weight: Tensor, shared: Tensor) -> Tensor:
        """The values of the image that each token attends to.

        Args:
            share: [B, H, T, K], of each position.
            weight: the values' projection, [H * head_dim, C].
            shared: the photo's map of that projection, [1, H * head_dim, grid, grid].

        Returns:
            [B, H, T, head_dim].
        """
        heads = share.shape[1]
        own = (share.flatten(1, 2) @ self.rows.transpose(1, 2)) @ self.vectors
        own = torch.unflatten(own, 1, (heads, -1)) @ by_head(weight, heads).transpose(1, 2)
        return share * self.scale.unsqueeze(1) @ as_heads(shared, heads).transpose(2, 3) + own

    def project(self, weight: Tensor, shared: Tensor) -> Tensor:
        """Its product with a weight [C, out]; `shared` is the photo's, [1, K, out]."""
        own = self.rows.transpose(1, 2) @ (self.vectors @ weight)
        return own + shared * self.scale.transpose(1, 2)


def first_norm(
    added: Added, norm: nn.LayerNorm, *, products: Tensor, square: Tensor
) -> PromptedImage:
    """The photo's image, plus what the first block adds, after its layer norm without the bias.

    Args:
        added: by the tokens.
        norm: over the C channels.
        products: [B, R, K], twice the mean products of the photo's image and the vectors.
        square: [1, 1, K], the rest of the variance.
    """
    vectors = _centred(added.vectors)
    variance = square + (added.rows * (products + _gram(vectors) @ added.rows)).sum(1, keepdim=True)
    scale = _scale(variance, norm)
    return PromptedImage(scale, added.rows * scale, vectors * norm.weight)


def second_norm(
    image: PromptedImage, added: Added, norm: nn.LayerNorm, *, products: Tensor, energies: Tensor
) -> PromptedImage:
    """An image, plus what the second block adds, after its layer norm without the bias.

    Args:
        image: after the first block.
        added: by the tokens.
        norm: over the C channels.
        products: [B, R, K], twice the mean products of the photo's image and all vectors.
        energies: [1, 2, K], what else the variance has, times the scale squared and times the
            scale.
    """
    rows = torch.cat([image.rows, added.rows], dim=1)
    vectors = _centred(torch.cat([image.vectors, added.vectors], dim=1))
    square, line = energies[:, :1], energies[:, 1:]
    shared = image.scale * (image.scale * square + line)
    own = (rows * (products * image.scale + _gram(vectors) @ rows)).sum(1, keepdim=True)
    scale = _scale(shared + own, norm)
    return PromptedImage(image.scale * scale, rows * scale, vectors * norm.weight)


def _centred(vectors: Tensor) -> Tensor:
    """A layer norm's mean is linear, so its part in each vector can be taken off first."""
    return vectors - vectors.mean(dim=2, keepdim=True)


def _gram(vectors: Tensor) -> Tensor:
    return vectors @ vectors.transpose(1, 2) / vectors.shape[2]


def _scale(variance: Tensor, norm: nn.LayerNorm) -> Tensor:
    # Rounding may leave a sum of squares below 0. A power, since TensorRT 8.2 does not import the
    # Reciprocal that ONNX's rsqrt consists of.
    return (torch.relu(variance) + norm.eps) ** -0.5


def by_head(weight: Tensor, heads: int) -> Tensor:
    """[heads * head_dim, n] -> [heads, head_dim, n]."""
    return torch.unflatten(weight, 0, (heads, -1))


def scaled_heads(x: Tensor, attention: Attention) -> Tensor:
    """The heads of x, divided by the square root of head_dim, as scores are."""
    return attention.split_heads(x) / math.sqrt(attention.head_dim)


def as_heads(shared: Tensor, heads: int) -> Tensor:
    """[1, heads * head_dim, grid, grid] -> [1, heads, head_dim, K]."""
    return shared.reshape(1, heads, shared.shape[1] // heads, -1)
