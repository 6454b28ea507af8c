"""SAM's decoder in the form that is exported: it works on tokens, and never forms an image.

`SamDecoder` is the definition, and the reference that verification compares with. This form
computes the same function in two parts. `PhotoSide` does, once per photo, all that does not depend
on a prompt, as a part of the encoder graph. `TokenSide` does the rest for each prompt, on
`PromptedImage`s. A box (T = 7 tokens) takes 0.6 GMAC instead of 1.8 in the definition, and no
operator reads or writes 256 channels at all positions before the upsampling. Work grows with the
square of the number of tokens, and beyond 17 of them less (`FewRows`).

The upscaling keeps one row per position. A 2x2 transposed convolution of stride 2 is a product with
[in, 4 * out], and layer norm needs no permutation in that layout. At the end only the 4 masks are
rearranged, not 64 and 32 channels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam.few_rows import FewRows, Unit
from edgekit.models.sam.layers import LayerNorm2d
from edgekit.models.sam.mask_decoder import Details, MaskDecoder
from edgekit.models.sam.photo_side import (
    PHOTO_MAPS,
    PROMPTS,
    PhotoMaps,
    PhotoSide,
    mask_prompt_vectors,
    takes,
    upsampling_weight,
)
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.prompted_image import (
    Added,
    PromptedImage,
    as_heads,
    by_head,
    first_norm,
    scaled_heads,
    second_norm,
)
from edgekit.models.sam.transformer import Attention, TwoWayBlock

_TERMS = 3
"""The energies before those of a mask prompt."""


class _Tokens(NamedTuple):
    """What the rounds know of a prompt."""

    places: Tensor
    """[B, T, C], the tokens at first, which are their own positions."""
    empty: Tensor
    """[B, T], a number for each token, which hides the empty ones."""
    unit: Unit
    """What `FewRows` needs for their number."""


class TokenSide(nn.Module):
    """`decode` on a photo's maps, with the submodules of a decoder."""

    first_keys: Tensor
    first_queries: Tensor
    second_keys: Tensor
    second_queries: Tensor
    final_keys: Tensor
    second_values: Tensor
    final_values: Tensor
    upscaled: Tensor
    everywhere: Tensor
    mask_terms: Tensor
    mask_squares: Tensor

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        first, second = (cast(TwoWayBlock, b) for b in mask_decoder.transformer.layers)
        self.first, self.second = first, second
        self.final = mask_decoder.transformer.final_attn_token_to_image
        own = mask_decoder.output_tokens()
        self.few_rows = FewRows(self.final.head_dim, len(own)).to(own)
        with torch.no_grad():
            self._make_constants()
            self._make_mask_constants(PhotoSide(prompt_encoder, mask_decoder))

    def photo_side(self) -> nn.Module:
        """What belongs to the encoder graph: the features -> `names`, the decoder's inputs."""
        return PhotoSide(self.prompt_encoder, self.mask_decoder)

    def _make_constants(self) -> None:
        """What positions, biases and the layer norms' biases add where the image is read."""
        # A constant in the keys adds the same number to all scores of a query; softmax cancels it.
        places = self.prompt_encoder.image_positions()[0].t()  # [C, K]
        moved = places + self.first.norm4.bias[:, None]
        look, back = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token
        self._keep("first_keys", look.k_proj.weight @ places)
        self._keep("first_queries", back.q_proj.weight @ places + back.q_proj.bias[:, None])
        look, back = self.second.cross_attn_token_to_image, self.second.cross_attn_image_to_token
        self._keep("second_keys", look.k_proj.weight @ places)
        self._keep("second_queries", back.q_proj.weight @ moved + back.q_proj.bias[:, None])
        self._keep("final_keys", self.final.k_proj.weight @ places)
        for name, attention, block in (
            ("second_values", look, self.first),
            ("final_values", self.final, self.second),
        ):
            moved_values = attention.v_proj.weight @ block.norm4.bias + attention.v_proj.bias
            self.register_buffer(name, moved_values)
        first = self.mask_decoder.output_upscaling[0]
        assert isinstance(first, nn.ConvTranspose2d)
        assert first.bias is not None
        bias = self.second.norm4.bias @ upsampling_weight(self.mask_decoder) + first.bias.repeat(4)
        self.register_buffer("upscaled", bias)

    def _keep(self, name: str, projected: Tensor) -> None:
        """[heads * head_dim, K] as a constant [1, heads, head_dim, K]."""
        heads = by_head(projected, self.final.heads)
        self.register_buffer(name, heads.unsqueeze(0).contiguous())

    def _make_mask_constants(self, side: PhotoSide) -> None:
        """What the photo's maps of the mask prompt's vectors are."""
        vectors = mask_prompt_vectors(self.prompt_encoder).t()[None, :, :, None]  # [1, C, 17, 1]
        for name, part in zip(PhotoMaps._fields, side.linear_maps(vectors), strict=False):
            # A copy: torch 2.13 warns when it saves a view that is not contiguous.
            flat = part.flatten(2) if part.dim() == 4 else part
            self.register_buffer(f"mask_{name}", flat.clone(memory_format=torch.contiguous_format))
        everywhere = torch.ones(1, 1, self.first_keys.shape[3]).to(vectors)
        self.register_buffer("everywhere", everywhere)
        self.register_buffer("mask_terms", side.lines(vectors).squeeze(3))
        centred = [part.squeeze(3) for part in side.centred(vectors)]
        squares = [part.transpose(1, 2) @ part / part.shape[1] for part in centred]
        self.register_buffer("mask_squares", torch.cat(squares))

    def decode(
        self, photo: PhotoMaps, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, ...]:
        """The results of `decoder.decode`; the details are rows, as `rows_from_details` gives."""
        tokens, rows = self._upscale(photo, prompts, details)
        weights = self.mask_decoder.mask_weights(tokens).transpose(1, 2)
        masks = masks_from_rows(rows @ weights, self.prompt_encoder.grid)
        return masks, *self.mask_decoder.scores(tokens)

    def _upscale(
        self, photo: PhotoMaps, prompts: Prompts, details: Details | None = None
    ) -> tuple[Tensor, Tensor]:
        """The tokens [B, T, C], and the upscaled image as rows [B, 16 * K, C / 8]."""
        photo = self._with_mask(photo, prompts)
        given = self._tokens(prompts)
        tokens, image, values = self._first_round(photo, given)
        tokens, image = self._second_round(tokens, image, photo, given, values)
        queries = scaled_heads(self.final.q_proj(tokens + given.places), self.final)
        weight = self.final.k_proj.weight
        scores = image.scores(queries, weight, photo.final_keys, self.final_keys)
        weight = self.final.v_proj.weight
        seen = image.attend(torch.softmax(scores, dim=-1), weight, photo.final_values)
        tokens = tokens + _merged(self.final, seen, self.final_values)
        tokens = self.mask_decoder.transformer.norm_final_attn(tokens)
        coarse = image.project(upsampling_weight(self.mask_decoder), photo.upscaled)
        return tokens, self._finer(coarse + self.upscaled, details)

    def _with_mask(self, photo: PhotoMaps, prompts: Prompts) -> PhotoMaps:
        """The maps of the photo's image with the mask prompt added, which all prompts share.

        It adds a sum of 17 vectors with a weight per position, so each linear map has a sum of 17
        maps added.
        """
        if prompts.masks is None or prompts.has_mask is None:
            return photo._replace(energies=photo.energies[:, :_TERMS])
        *first, _ = self.prompt_encoder.mask_downscaling
        features = nn.Sequential(*first)(prompts.masks).flatten(2)
        rows = torch.cat([features, self.everywhere], dim=1)
        rows = rows * prompts.has_mask.reshape(1, 1, 1)
        *maps, upscaled, energies = photo
        added = [
            part + torch.unflatten(self.get_buffer(f"mask_{name}") @ rows, 2, part.shape[2:])
            for name, part in zip(PhotoMaps._fields, maps, strict=False)
        ]
        upscaled = upscaled + rows.transpose(1, 2) @ self.get_buffer("mask_upscaled")
        return PhotoMaps._make((*added, upscaled, self._energies_with_mask(energies, rows)))

    def _energies_with_mask(self, energies: Tensor, rows: Tensor) -> Tensor:
        """The three energies [1, 3, K] with the mask prompt's rows [1, 17, K]."""
        terms, products = energies[:, :_TERMS], energies[:, _TERMS:]
        both = torch.unflatten(products, 1, (2, -1)).squeeze(0)  # [2, 17, K]
        squares = (rows * (both + self.mask_squares @ rows)).sum(dim=1).unsqueeze(0)
        return terms + self.mask_terms @ rows + F.pad(squares, (0, 0, 0, 1))

    def _tokens(self, prompts: Prompts) -> _Tokens:
        sparse = self.prompt_encoder.points(prompts.coords, prompts.labels)
        own = self.mask_decoder.output_tokens().unsqueeze(0).expand(sparse.shape[0], -1, -1)
        return _Tokens(
            torch.cat([own, sparse], dim=1),
            F.pad(prompts.empty() * -1e4, (own.shape[1], 0)),
            self.few_rows.for_points(prompts.labels.shape[1]),
        )

    def _first_round(
        self, photo: PhotoMaps, given: _Tokens
    ) -> tuple[Tensor, PromptedImage, Tensor]:
        """The tokens and images after the first block, and the values that it added."""
        places, empty, unit = given
        block, heads = self.first, self.first.cross_attn_token_to_image.heads
        look, back = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        tokens = block.norm1(block.self_attn(places, places, places, _key_bias(empty)))
        keys = as_heads(photo.first_keys, heads) + self.first_keys
        scores = scaled_heads(look.q_proj(tokens + places), look) @ keys
        seen = torch.softmax(scores, dim=-1) @ as_heads(photo.first_values, heads).transpose(2, 3)
        tokens = block.norm2(tokens + _merged(look, seen, look.v_proj.bias))
        tokens = block.norm3(tokens + block.mlp(tokens))
        queries = as_heads(photo.first_queries, heads) + self.first_queries
        scores = scaled_heads(back.k_proj(tokens + places), back) @ queries
        values = back.split_heads(back.v_proj(tokens))
        rows, values = self.few_rows(_shares(scores, empty), values, unit)
        image = first_norm(
            Added(rows.flatten(1, 2), _vectors(back, values)),
            block.norm4,
            products=_products(values, photo.first_outputs),
            square=photo.energies[:, :1],
        )
        return tokens, image, values

    def _second_round(
        self,
        tokens: Tensor,
        image: PromptedImage,
        photo: PhotoMaps,
        given: _Tokens,
        first_values: Tensor,
    ) -> tuple[Tensor, PromptedImage]:
        """The tokens and images after the second block."""
        block, level, (places, empty, unit) = self.second, self.first.norm4.bias, given
        look, back = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        queries = tokens + places
        tokens = tokens + block.self_attn(queries, queries, tokens, _key_bias(empty))
        tokens = block.norm1(tokens)
        queries, weight = scaled_heads(look.q_proj(tokens + places), look), look.k_proj.weight
        scores = image.scores(queries, weight, photo.second_keys, self.second_keys)
        share, weight = torch.softmax(scores, dim=-1), look.v_proj.weight
        seen = image.attend(share, weight, photo.second_values)
        tokens = block.norm2(tokens + _merged(look, seen, self.second_values))
        tokens = block.norm3(tokens + block.mlp(tokens))
        keys, weight = scaled_heads(back.k_proj(tokens + places), back), back.q_proj.weight
        scores = image.scores(keys, weight, photo.second_queries, self.second_queries)
        values = back.split_heads(back.v_proj(tokens))
        rows, values = self.few_rows(_shares(scores, empty), values, unit)
        both = torch.cat([first_values, values], dim=1)
        return tokens, second_norm(
            image,
            Added(rows.flatten(1, 2), _vectors(back, values, level=level)),
            block.norm4,
            products=_products(both, photo.second_outputs),
            energies=photo.energies[:, 1:],
        )

    def _finer(self, rows: Tensor, details: Details | None) -> Tensor:
        """[B, K, C] after the first upsampling -> [B, 16 * K, C / 8] after the second.

        The rows are ordered by position, then by row and column within each upsampling. The
        details have the same order: [1, 16 * K, C / 8] and [1, 4 * K, C / 4].
        """
        _, norm, activation, second, last_activation = self.mask_decoder.output_upscaling
        assert isinstance(norm, LayerNorm2d)
        assert isinstance(second, nn.ConvTranspose2d)
        assert second.bias is not None
        rows = rows.reshape(-1, 4 * rows.shape[1], norm.weight.shape[0])
        rows = rows if details is None else rows + details[1]
        rows = F.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, 1e-6)
        weight = second.weight.permute(0, 2, 3, 1).flatten(1)
        rows, count = activation(rows) @ weight + second.bias.repeat(4), 4 * rows.shape[1]
        if details is None:  # before the reshape, so that a runtime fuses product, bias and GELU
            return last_activation(rows).reshape(-1, count, second.out_channels)  # type: ignore[no-any-return]
        finer = rows.reshape(-1, count, second.out_channels) + details[0]
        return last_activation(finer)  # type: ignore[no-any-return]


class TokenSideDecoder(TokenSide):
    """`SamDecoder` on a photo's maps."""

    @takes(*PHOTO_MAPS, *PROMPTS)
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `SamDecoder.forward`, with `PhotoMaps` in place of the image embedding."""
        count = len(PHOTO_MAPS)
        return self.decode(PhotoMaps(*inputs[:count]), Prompts(*inputs[count:]))


def masks_from_rows(rows: Tensor, grid: int) -> Tensor:
    """[B, 16 * grid * grid, M] in the order of `_finer` -> [B, M, 4 * grid, 4 * grid].

    Three permutes of rank 3 and 4, which every compiler takes, instead of one of rank 8.
    """
    masks = rows.shape[2]
    x = rows.reshape(-1, grid, 2, 8 * masks).transpose(1, 2)
    x = x.reshape(-1, 2 * grid, 2, 2 * masks).transpose(1, 2)
    x = x.reshape(-1, 16 * grid * grid, masks).transpose(1, 2)
    return x.reshape(-1, masks, 4 * grid, 4 * grid)


def _key_bias(empty: Tensor) -> Tensor:
    """[B, T] -> [B, 1, 1, T], for attention to the tokens."""
    return empty.unsqueeze(1).unsqueeze(1)


def _shares(scores: Tensor, empty: Tensor) -> Tensor:
    """The share of each token at each position: [B, H, T, K]."""
    return torch.softmax(scores + empty.unsqueeze(1).unsqueeze(3), dim=2)


def _vectors(attention: Attention, values: Tensor, *, level: Tensor | None = None) -> Tensor:
    """What each head adds to the image for each row: [B, H, R, head_dim + 1] -> [B, H * R, C].

    The last value counts the bias / heads, since the shares of a head sum to 1.
    """
    bias = attention.out_proj.bias if level is None else attention.out_proj.bias + level
    vectors = values[..., :-1] @ by_head(attention.out_proj.weight.t(), attention.heads)
    return (vectors + values[..., -1:] * (bias / attention.heads)).flatten(1, 2)


def _products(values: Tensor, outputs: Tensor) -> Tensor:
    """Values [B, n*H, R, head_dim + 1] and the photo's products with n outputs -> [B, n*H*R, K]."""
    by_head_ = outputs.reshape(1, values.shape[1], values.shape[3] - 1, -1)
    return (values[..., :-1] @ by_head_).flatten(1, 2)


def _merged(attention: Attention, values: Tensor, bias: Tensor) -> Tensor:
    """Attended values [B, H, T, head_dim], less their bias [H * head_dim] -> [B, T, C]."""
    return attention.out_proj(values.transpose(1, 2).flatten(2) + bias)  # type: ignore[no-any-return]
