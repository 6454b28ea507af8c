"""SAM's decoder with the image tokens projected once per call, not once per prompt.

Most of the decoder's work is projecting 4096 image tokens of 256 channels: ten projections of 134
million multiplications each per prompt. Two facts of the architecture avoid them without changing
the result:

- Matrix products are associative: `q @ (image @ Wk)^T = (q @ Wk^T) @ image^T`. So the few tokens (5
  and the points) are projected to the image's channels instead: 8 heads x T columns rather than
  128. A box (T = 7) takes less than half of the work, 11 points the same, more points more. Most
  prompts are short.
- Before the first layer, all prompts share one image except for the mask prompt. The mask prompt
  has rank 16, because its last layer is linear in 16 channels. So the first keys and values are
  computed at batch 1, and the masks' contribution to scores, values and image goes through the 16
  channels.

The upscaling also keeps one row per position. A 2x2 transposed convolution of stride 2 is a product
with [in, 4 * out], and layer norm needs no permutation in that layout. At the end only the 4 masks
are rearranged, not 64 and 32 channels.

CPU time per box on one core, plain form and this one: ONNX Runtime 56 and 38 ms, OpenVINO 81 and 45
ms. In batches of 4, where the shared part counts once: 64 and 34 ms, 86 and 38 ms. With 32 points
this form is slower: 66 and 93 ms.

Only this form is exported. The reference keeps the plain definition, so that verification compares
two independent computations of a mask.
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
    """`decode` with image-side work at batch 1, on the submodules of a decoder."""

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def decode(
        self, image: Tensor, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, ...]:
        """The results of `decoder.decode`."""
        tokens, rows = self._upscale(image, prompts, details)
        weights = self.mask_decoder.mask_weights(tokens).transpose(1, 2)
        masks = masks_from_rows(rows @ weights, self.prompt_encoder.grid)
        return masks, *self.mask_decoder.scores(tokens)

    def _upscale(
        self, image: Tensor, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, Tensor]:
        """The tokens [B, T, dim], and the upscaled image as rows [B, 16 * K, channels]."""
        tokens, key_bias = self._tokens(prompts)
        none = self.prompt_encoder.no_mask_embed.weight
        shared = image.flatten(2).transpose(1, 2) + none
        added = self._mask_prompt(prompts.masks, prompts.has_mask.reshape(-1, 1, 1))
        tokens, mixed = self._transform(tokens, shared, added, key_bias)
        grid = self.prompt_encoder.grid
        fine = (
            None
            if details is None
            else (_rows_from_details(details[0], grid), _rows_from_details(details[1], grid))
        )
        return tokens, _upscale_rows(self.mask_decoder.output_upscaling, mixed, fine)

    def _tokens(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """All tokens [B, T, dim], and the key bias [B, 1, 1, T] that hides the empty ones."""
        sparse = self.prompt_encoder.points(prompts.coords, prompts.labels)
        own = self.mask_decoder.output_tokens().unsqueeze(0).expand(sparse.shape[0], -1, -1)
        tokens = torch.cat([own, sparse], dim=1)
        empty = prompts.empty() * -1e4
        return tokens, F.pad(empty, (own.shape[1], 0)).unsqueeze(1).unsqueeze(1)

    def _mask_prompt(self, mask_input: Tensor, has: Tensor) -> MaskPrompt:
        """`has * downscaled + (1 - has) * none - none` in 16 channels; `has` is [B, 1, 1]."""
        *first, last = self.prompt_encoder.mask_downscaling
        features = nn.Sequential(*first)(mask_input).flatten(2).transpose(1, 2)
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        return MaskPrompt(
            features=features * has,
            weight=last.weight.flatten(1).t(),
            level=has * (last.bias - self.prompt_encoder.no_mask_embed.weight),
        )

    def _transform(
        self, tokens: Tensor, image: Tensor, added: MaskPrompt, key_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`TwoWayTransformer.forward` for an image [1, K, dim] and the masks' contribution."""
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
    """`SamDecoder` with image-side work done once per call."""

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
    """`TwoWayBlock.forward` of the later blocks; the image is [B, K, dim]."""
    keys, queries = image + image_pe, tokens + token_pe
    tokens = block.norm1(tokens + block.self_attn(queries, queries, tokens, key_bias))
    look = tokens_to_image(block.cross_attn_token_to_image, tokens + token_pe, keys, image)
    tokens = block.norm2(tokens + look)
    tokens = block.norm3(tokens + block.mlp(tokens))
    back = image_to_tokens(
        block.cross_attn_image_to_token, keys, tokens + token_pe, tokens, key_bias
    )
    return tokens, block.norm4(image + back)


def _upscale_rows(upscaling: nn.Sequential, image: Tensor, details: Details | None) -> Tensor:
    """[B, K, dim] -> [B, 16 * K, channels].

    The rows are ordered by position, then by row and column within each upsampling. The details
    have the same order: [1, 16 * K, channels] and [1, 4 * K, 2 * channels].
    """
    first, norm, activation, second, last_activation = upscaling
    assert isinstance(first, nn.ConvTranspose2d)
    assert isinstance(norm, LayerNorm2d)
    assert isinstance(second, nn.ConvTranspose2d)
    rows = _upsample_2x(first, image)
    rows = rows if details is None else rows + details[1]
    rows = F.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, 1e-6)
    rows = _upsample_2x(second, activation(rows))
    upscaled: Tensor = last_activation(rows if details is None else rows + details[0])
    return upscaled


def _upsample_2x(layer: nn.ConvTranspose2d, rows: Tensor) -> Tensor:
    """A 2x2 transposed convolution of stride 2: [B, n, in] -> [B, 4 * n, out]."""
    assert layer.bias is not None
    weight = layer.weight.permute(0, 2, 3, 1).flatten(1)
    return (rows @ weight).reshape(-1, 4 * rows.shape[1], layer.out_channels) + layer.bias


def masks_from_rows(rows: Tensor, grid: int) -> Tensor:
    """[B, 16 * grid * grid, M] in the order of `_upscale_rows` -> [B, M, 4 * grid, 4 * grid].

    Three permutes of rank 3 and 4, which every compiler takes, instead of one of rank 8.
    """
    masks = rows.shape[2]
    x = rows.reshape(-1, grid, 2, 8 * masks).transpose(1, 2)
    x = x.reshape(-1, 2 * grid, 2, 2 * masks).transpose(1, 2)
    x = x.reshape(-1, 16 * grid * grid, masks).transpose(1, 2)
    return x.reshape(-1, masks, 4 * grid, 4 * grid)


def _rows_from_details(details: Tensor, grid: int) -> Tensor:
    """[1, C, n * grid, n * grid] -> rows [1, n^2 * K, C] as in `_upscale_rows`; n is 2 or 4."""
    (channels, side), count = details.shape[1:3], details.shape[2] ** 2
    rows, inner = details.permute(0, 2, 3, 1), channels
    while side > grid:
        side //= 2
        rows = rows.reshape(-1, 2, side, 2 * inner).transpose(1, 2)
        inner *= 4
    return rows.reshape(1, count, channels)
