"""SAM's decoder with the image tokens projected once per call, not once per prompt.

Most of the decoder's work is projecting 4096 image tokens of 256 channels: ten times 134 million
multiplications per prompt. Two facts of the architecture avoid it without changing the result:

- Products associate. `q @ (image @ Wk)^T = (q @ Wk^T) @ image^T`: the few tokens (5 and the points)
  are brought to the image's channels instead, 8 heads x T columns for 128. Less than half of the
  work for a box (T = 7), the same at 11 points, more beyond: prompts are short.
- Before the first layer all prompts see one image, but for the mask prompt, and that has rank 16:
  its last layer is linear in 16 channels. So the first keys and values are computed at batch 1,
  and what masks add to scores, values and image is added through the 16 channels.

The upscaling stays with one row per position too. A 2x2 transposed convolution of stride 2 is a
product with [in, 4 * out], layer norm needs no permutation in that layout, and only the 4 masks,
not 64 and 32 channels, are interleaved at the end.

Measured on one core (ms of CPU time per box, plain and this): ONNX Runtime 56 and 38, OpenVINO 81
and 45; in batches of 4, where the shared part counts once, 64 and 34, 86 and 38. With 32 points
this one is slower (66 and 93).

This is what is exported. The reference stays the plain definition, so that verification compares
two ways to compute a mask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d
from edgekit.models.sam.mask_decoder import Details, MaskDecoder
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.token_attention import (
    MaskPrompt,
    image_to_tokens,
    tokens_to_image,
    tokens_to_shared_image,
)
from edgekit.models.sam.transformer import TwoWayBlock


class TokenSide(nn.Module):
    """`decode` with image-side work at batch 1, on a decoder's own submodules."""

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def decode(
        self, image: Tensor, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, ...]:
        """As `decoder.decode`."""
        tokens, rows = self._upscaled(image, prompts, details)
        weights = self.mask_decoder.mask_weights(tokens).transpose(1, 2)
        masks = interleaved(rows @ weights, self.prompt_encoder.grid)
        return masks, *self.mask_decoder.scores(tokens)

    def _upscaled(
        self, image: Tensor, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, dim] and the upscaled image as rows [B, 16 * K, channels]."""
        tokens, key_bias = self._tokens(prompts)
        none = self.prompt_encoder.no_mask_embed.weight
        shared = image.flatten(2).transpose(1, 2) + none
        added = self._mask_prompt(prompts.masks, prompts.has_mask.reshape(-1, 1, 1))
        tokens, mixed = self._transformed(tokens, shared, added, key_bias)
        grid = self.prompt_encoder.grid
        fine = None if details is None else (_nested(details[0], grid), _nested(details[1], grid))
        return tokens, _upscaled_rows(self.mask_decoder.output_upscaling, mixed, fine)

    def _tokens(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """[B, T, dim] and [B, 1, 1, T]: all tokens, and what hides the empty ones as keys."""
        sparse = self.prompt_encoder.points(prompts.coords, prompts.labels)
        own = self.mask_decoder.own_tokens().unsqueeze(0).expand(sparse.shape[0], -1, -1)
        tokens = torch.cat([own, sparse], dim=1)
        empty = prompts.empty() * -1e4
        return tokens, F.pad(empty, (own.shape[1], 0)).unsqueeze(1).unsqueeze(1)

    def _mask_prompt(self, mask_input: Tensor, has: Tensor) -> MaskPrompt:
        """`has * downscaled + (1 - has) * none - none`, in its 16 channels; `has` is [B, 1, 1]."""
        *first, last = self.prompt_encoder.mask_downscaling
        features = nn.Sequential(*first)(mask_input).flatten(2).transpose(1, 2)
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        return MaskPrompt(
            features=features * has,
            weight=last.weight.flatten(1).t(),
            level=has * (last.bias - self.prompt_encoder.no_mask_embed.weight),
        )

    def _transformed(
        self, tokens: Tensor, image: Tensor, added: MaskPrompt, key_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`TwoWayTransformer.forward` for an image [1, K, dim] and what masks add to it."""
        transformer = self.mask_decoder.transformer
        token_pe, image_pe = tokens, self.prompt_encoder.image_positions()
        first, *rest = cast(Iterable[TwoWayBlock], transformer.layers)
        tokens, image = _first_round(first, tokens, image, image_pe, added, key_bias)
        for block in rest:
            tokens, image = _later_round(block, tokens, image, token_pe, image_pe, key_bias)
        look = tokens_to_image(
            transformer.final_attn_token_to_image, tokens + token_pe, image + image_pe, image
        )
        return transformer.norm_final_attn(tokens + look), image


class TokenSideDecoder(TokenSide):
    """`SamDecoder` in this form."""

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, ...]:
        """As `SamDecoder.forward`."""
        prompts = Prompts(point_coords, point_labels, mask_input, has_mask_input)
        return self.decode(image_embeddings, prompts)


def _first_round(
    block: TwoWayBlock,
    tokens: Tensor,
    image: Tensor,
    image_pe: Tensor,
    added: MaskPrompt,
    key_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """`TwoWayBlock.forward` of the first block, whose tokens are their own positions."""
    keys, token_pe = image + image_pe, tokens
    tokens = block.norm1(block.self_attn(tokens, tokens, tokens, key_bias))
    tokens = tokens + tokens_to_shared_image(
        block.cross_attn_token_to_image, tokens + token_pe, keys, image, added
    )
    tokens = block.norm2(tokens)
    tokens = block.norm3(tokens + block.mlp(tokens))
    back = image_to_tokens(
        block.cross_attn_image_to_token, keys, tokens + token_pe, tokens, key_bias, added
    )
    return tokens, block.norm4(image + back)


def _later_round(
    block: TwoWayBlock,
    tokens: Tensor,
    image: Tensor,
    token_pe: Tensor,
    image_pe: Tensor,
    key_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """`TwoWayBlock.forward` of the others; image [B, K, dim]."""
    keys, placed = image + image_pe, tokens + token_pe
    tokens = block.norm1(tokens + block.self_attn(placed, placed, tokens, key_bias))
    look = tokens_to_image(block.cross_attn_token_to_image, tokens + token_pe, keys, image)
    tokens = block.norm2(tokens + look)
    tokens = block.norm3(tokens + block.mlp(tokens))
    back = image_to_tokens(
        block.cross_attn_image_to_token, keys, tokens + token_pe, tokens, key_bias
    )
    return tokens, block.norm4(image + back)


def _upscaled_rows(upscaling: nn.Sequential, image: Tensor, details: Details | None) -> Tensor:
    """[B, K, dim] -> [B, 16 * K, channels]: position, then row and column in each doubling.

    Details come in the same order of rows: [1, 16 * K, channels] and [1, 4 * K, 2 * channels].
    """
    first, norm, activation, second, last_activation = upscaling
    assert isinstance(first, nn.ConvTranspose2d)
    assert isinstance(norm, LayerNorm2d)
    assert isinstance(second, nn.ConvTranspose2d)
    rows = _doubled(first, image)
    rows = rows if details is None else rows + details[1]
    rows = F.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, 1e-6)
    rows = _doubled(second, activation(rows))
    upscaled: Tensor = last_activation(rows if details is None else rows + details[0])
    return upscaled


def _doubled(layer: nn.ConvTranspose2d, rows: Tensor) -> Tensor:
    """A 2x2 transposed convolution of stride 2: [B, n, in] -> [B, 4 * n, out]."""
    assert layer.bias is not None
    weight = layer.weight.permute(0, 2, 3, 1).flatten(1)
    return (rows @ weight).reshape(-1, 4 * rows.shape[1], layer.out_channels) + layer.bias


def interleaved(rows: Tensor, grid: int) -> Tensor:
    """[B, 16 * grid * grid, M] in the order of `_upscaled_rows` -> [B, M, 4 * grid, 4 * grid].

    One permute of rank 8, done in three of rank 3 and 4, which every compiler takes.
    """
    masks = rows.shape[2]
    x = rows.reshape(-1, grid, 2, 8 * masks).transpose(1, 2)
    x = x.reshape(-1, 2 * grid, 2, 2 * masks).transpose(1, 2)
    x = x.reshape(-1, 16 * grid * grid, masks).transpose(1, 2)
    return x.reshape(-1, masks, 4 * grid, 4 * grid)


def _nested(details: Tensor, grid: int) -> Tensor:
    """[1, C, n * grid, n * grid], n a power of 2, to rows [1, n^2 * K, C] of `_upscaled_rows`."""
    (channels, side), count = details.shape[1:3], details.shape[2] ** 2
    rows, inner = details.permute(0, 2, 3, 1), channels
    while side > grid:
        side //= 2
        rows = rows.reshape(-1, 2, side, 2 * inner).transpose(1, 2)
        inner *= 4
    return rows.reshape(1, count, channels)
