"""What SAM's decoder computes from the photo alone: projections of the image embedding.

`PromptedImage` says how the decoder uses them. They are part of the encoder graph, which runs once
per photo. Every map but the last is linear in the image embedding, so each is one 1x1 convolution:
the decoder's own weights are multiplied together once, when this module is made.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from edgekit.models.sam.mask_decoder import Details, MaskDecoder
from edgekit.models.sam.prompt_encoder import PromptEncoder
from edgekit.models.sam.transformer import TwoWayBlock


class PhotoMaps(NamedTuple):
    """The maps of one photo, for a grid of K = grid * grid tokens of C channels.

    Those of `first`, `second` and `final` are [1, channels, grid, grid] and named after the
    transformer's block that reads them. `keys`, `values` and `queries` are a block's projections of
    the image, without positions and constants, before a prompt changes its scale. `outputs` are the
    products of the image with the rows of an attention's output projection, for the variance of a
    layer norm.
    """

    first_keys: Tensor
    first_values: Tensor
    first_queries: Tensor
    first_outputs: Tensor
    second_keys: Tensor
    second_values: Tensor
    second_queries: Tensor
    second_outputs: Tensor
    """Products with the first block's output projection, then with the second's."""
    final_keys: Tensor
    final_values: Tensor
    upscaled: Tensor
    """[1, K, C]: the image after the first upsampling's weights."""
    energies: Tensor
    """[1, 3 + 2 * 17, K]: three terms of the two layer norms' variances, then twice the mean
    products of the image with the vectors of a mask prompt, for the first and for the second."""


PHOTO_MAPS = tuple(f"photo_{name}" for name in PhotoMaps._fields)
"""Their names as outputs of the encoder graph and inputs of the decoder graph."""


PROMPTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
"""The prompts' inputs of the decoder graph, the fields of `Prompts`."""

Forward = TypeVar("Forward", bound=Callable[..., object])


def takes(*names: str) -> Callable[[Forward], Forward]:
    """Name the arguments of a `forward(self, *inputs)`; torch.export gives its inputs these."""

    def named(forward: Forward) -> Forward:
        parameters = [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in ("self", *names)]
        forward.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return forward

    return named


class PhotoSide(nn.Module):
    """The image embedding [1, C, grid, grid] -> its `PhotoMaps`."""

    names = PHOTO_MAPS
    none: Tensor
    gain: Tensor

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        with torch.no_grad():
            self._make(prompt_encoder, mask_decoder)

    def _make(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        transformer = mask_decoder.transformer
        first, second = (cast(TwoWayBlock, block) for block in transformer.layers)
        final = transformer.final_attn_token_to_image
        none = prompt_encoder.no_mask_embed.weight[0]
        dim = len(none)
        self.register_buffer("none", none.reshape(1, dim, 1, 1).clone())
        # The image after the first layer norm without its scale, `once`, and after both, `twice`;
        # each is centred, since a layer norm's mean is linear.
        centre = torch.eye(dim).to(none) - 1 / dim
        once = first.norm4.weight[:, None] * centre
        self.register_buffer("gain", first.norm4.weight.reshape(1, dim, 1, 1).clone())
        once_centred = centre @ once
        twice = second.norm4.weight[:, None] * once_centred
        look, back = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        self.first_keys = _convolution(look.k_proj.weight)
        self.first_values = _convolution(look.v_proj.weight)
        self.first_queries = _convolution(back.q_proj.weight)
        products = 2 / dim * back.out_proj.weight.t() @ centre
        self.first_outputs = _convolution(products)
        look, later = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        self.second_keys = _convolution(look.k_proj.weight @ once)
        self.second_values = _convolution(look.v_proj.weight @ once)
        self.second_queries = _convolution(later.q_proj.weight @ once)
        both = torch.cat([products * first.norm4.weight, 2 / dim * later.out_proj.weight.t()])
        self.second_outputs = _convolution(both @ once_centred)
        self.final_keys = _convolution(final.k_proj.weight @ twice)
        self.final_values = _convolution(final.v_proj.weight @ twice)
        self.upscaled = _convolution(upsampling_weight(mask_decoder).t() @ twice)
        level = torch.cat([back.out_proj.bias[None], mask_prompt_vectors(prompt_encoder)])
        terms = 2 / dim * level @ centre
        later_terms = terms * first.norm4.weight @ once_centred
        line = 2 / dim * (later.out_proj.bias + first.norm4.bias)[None] @ once_centred
        self.lines = _convolution(torch.cat([terms[:1], later_terms[:1], line]))
        self.mask_products = _convolution(torch.cat([terms[1:], later_terms[1:]]))

    def forward(self, image_embeddings: Tensor) -> tuple[Tensor, ...]:
        """[1, C, grid, grid] -> the fields of `PhotoMaps`."""
        image = image_embeddings + self.none
        return *self.linear_maps(image), self._energies(image)

    def linear_maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """[B, C, n, m] -> all fields of `PhotoMaps` but the last, each linear in the image."""
        return (
            self.first_keys(image),
            self.first_values(image),
            self.first_queries(image),
            self.first_outputs(image),
            self.second_keys(image),
            self.second_values(image),
            self.second_queries(image),
            self.second_outputs(image),
            self.final_keys(image),
            self.final_values(image),
            self.upscaled(image).flatten(2).transpose(1, 2),
        )

    def centred(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, n, m] -> what the two layer norms see of it, before their scales."""
        centred = image - image.mean(dim=1, keepdim=True)
        once = centred * self.gain
        return centred, once - once.mean(dim=1, keepdim=True)

    def _energies(self, image: Tensor) -> Tensor:
        squares = [(part * part).mean(dim=1, keepdim=True) for part in self.centred(image)]
        lines = self.lines(image)
        parts = (torch.cat(squares, dim=1) + lines[:, :2], lines[:, 2:], self.mask_products(image))
        return torch.cat(parts, dim=1).flatten(2)


def mask_prompt_vectors(prompt_encoder: PromptEncoder) -> Tensor:
    """[17, C]: what a mask prompt adds to the image is a sum of these, with a weight per token.

    Its last layer is linear in 16 channels. The last vector is its bias less the embedding of no
    mask, which every image has had added.
    """
    last = prompt_encoder.mask_downscaling[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    level = last.bias - prompt_encoder.no_mask_embed.weight
    return torch.cat([last.weight.flatten(1).t(), level])


def upsampling_weight(mask_decoder: MaskDecoder) -> Tensor:
    """[C, 4 * C / 4]: the first 2x2 transposed convolution of stride 2, as a product of rows."""
    layer = mask_decoder.output_upscaling[0]
    assert isinstance(layer, nn.ConvTranspose2d)
    return layer.weight.permute(0, 2, 3, 1).flatten(1)


def rows_from_details(details: Details, grid: int) -> Details:
    """Both details [1, C, n * grid, n * grid] as rows [1, n^2 * K, C] in the upscaling's order."""
    fine, coarse = (_rows(part, grid) for part in details)
    return fine, coarse


def _rows(details: Tensor, grid: int) -> Tensor:
    """One detail, whose n is 2 or 4."""
    (channels, side), count = details.shape[1:3], details.shape[2] ** 2
    rows, inner = details.permute(0, 2, 3, 1), channels
    while side > grid:
        side //= 2
        rows = rows.reshape(-1, 2, side, 2 * inner).transpose(1, 2)
        inner *= 4
    return rows.reshape(1, count, channels)


def _convolution(weight: Tensor) -> nn.Conv2d:
    """A 1x1 convolution with this weight [out, in]."""
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False).to(weight)
    layer.weight.copy_(weight[:, :, None, None])
    return layer
