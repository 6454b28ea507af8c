"""RWKV-SAM's decoder: SAM's with one mask, made from features of higher resolution.

Sources: Yuan et al., arXiv 2406.19369; HarborYuan/ovsam, whose tensor names are kept. The tokens
are the IoU token, the first of SAM's mask tokens and the prompts. Upstream never gives a mask as a
prompt; the layers for it are in its files. The photo's features at the masks' resolution come from
the encoder graph (rwkv_sam.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.sam.hq_decoder import weighted_convolution
from edgekit.models.sam.layers import LayerNorm2d
from edgekit.models.sam.mask_decoder import MaskDecoder
from edgekit.models.sam.photo_side import PHOTO_MAPS, PhotoMaps, PhotoSide, takes
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.token_side import TokenSide, masks_from_rows

PROMPTS = ("point_coords", "point_labels")
HIGH_RES = 64
"""Channels of the photo's features."""


class OneMaskDecoder(MaskDecoder):
    """SAM's mask decoder with the first mask alone; the other masks' tokens are not used."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__(dim)
        self.output_hypernetworks_mlps = self.output_hypernetworks_mlps[:1]

    def output_tokens(self) -> Tensor:
        """[2, dim]: the IoU token, then the mask's."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight[:1]])

    def scores(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """The predicted IoU of the mask, [B, 1]."""
        (iou,) = super().scores(tokens)
        return (iou[:, :1],)


class MixedMaskDecoder(nn.Module):
    """SAM's decoder, and the layers that add the photo's features to the upscaled image."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_decoder = OneMaskDecoder()
        self.mix_feat_proj = nn.Sequential(
            nn.Conv2d(32 + HIGH_RES, 64, 3, padding=1),
            LayerNorm2d(64),
            nn.GELU(),
            nn.Conv2d(64, 32, 3, padding=1),
        )


class RwkvSamDecoder(nn.Module):
    """The decoder graph, for a batch of prompts on one photo."""

    def __init__(self, *, frame: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.pe = PromptEncoder(grid=grid, frame=frame)
        self.mask_decoder = MixedMaskDecoder()

    def forward(
        self,
        image_embeddings: Tensor,
        high_res_features: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
    ) -> tuple[Tensor, ...]:
        """Masks for B prompts.

        Args:
            image_embeddings: [1, 256, 64, 64], of one photo.
            high_res_features: [1, 64, 256, 256], of the same photo.
            point_coords: [B, N, 2], x and y in the 1024 frame.
            point_labels: [B, N], codes of `records.Label`; EMPTY slots have no influence.

        Returns:
            low_res_masks [B, 1, 256, 256] logits and iou_predictions [B, 1].
        """
        prompts, decoder = Prompts(point_coords, point_labels), self.mask_decoder.mask_decoder
        tokens, mixed = decoder.transform(
            image_embeddings + self.pe.dense(prompts.masks, prompts.has_mask),
            self.pe.image_positions(),
            self.pe.points(prompts.coords, prompts.labels),
            prompts.empty(),
        )
        upscaled = decoder.upscale(mixed, None)
        photo = high_res_features.expand(upscaled.shape[0], -1, -1, -1)
        finer = upscaled + self.mask_decoder.mix_feat_proj(torch.cat([upscaled, photo], dim=1))
        masks = decoder.mask_weights(tokens) @ finer.flatten(2)
        return torch.unflatten(masks, 2, finer.shape[2:]), *decoder.scores(tokens)

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder."""
        return RwkvSamTokenSide(self)


class RwkvSamPhotoSide(PhotoSide):
    """`PhotoSide` with the photo's part of the first convolution that mixes both."""

    names = (*PHOTO_MAPS, "photo_details")

    def __init__(
        self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, mix: nn.Module
    ) -> None:
        super().__init__(prompt_encoder, mask_decoder)
        self.details = _part(mix, slice(-HIGH_RES, None), bias=True)

    def forward(  # type: ignore[override]
        self, image_embeddings: Tensor, high_res_features: Tensor
    ) -> tuple[Tensor, ...]:
        """The features -> the fields of `PhotoMaps`, then [1, 64, 256, 256]."""
        return *super().forward(image_embeddings), self.details(high_res_features)


class RwkvSamTokenSide(TokenSide):
    """`RwkvSamDecoder` on a photo's maps.

    As in SAM-HQ's decoder, the last convolution's kernels are summed before it is computed.
    """

    def __init__(self, decoder: RwkvSamDecoder) -> None:
        super().__init__(decoder.pe, decoder.mask_decoder.mask_decoder)
        self.mix_feat_proj = decoder.mask_decoder.mix_feat_proj
        self.mix = _part(self.mix_feat_proj[0], slice(-HIGH_RES), bias=False)

    def photo_side(self) -> nn.Module:
        """What belongs to the encoder graph."""
        return RwkvSamPhotoSide(self.prompt_encoder, self.mask_decoder, self.mix_feat_proj[0])

    @takes(*RwkvSamPhotoSide.names, *PROMPTS)
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `RwkvSamDecoder.forward`, with the photo's maps in place of the features."""
        *maps, details = inputs[: len(RwkvSamPhotoSide.names)]
        prompts = Prompts(*inputs[len(RwkvSamPhotoSide.names) :])
        tokens, rows = self._upscale(PhotoMaps(*maps), prompts)
        grid, weights = self.prompt_encoder.grid, self.mask_decoder.mask_weights(tokens)
        _, norm, activation, last = self.mix_feat_proj
        hidden = activation(norm(self.mix(masks_from_rows(rows, grid)) + details))
        finer = weighted_convolution(last, hidden, weights)
        masks = masks_from_rows(rows @ weights.transpose(1, 2), grid)
        return masks + finer, *self.mask_decoder.scores(tokens)


def _part(conv: nn.Module, channels: slice, *, bias: bool) -> nn.Conv2d:
    """The part of a 3x3 convolution that reads these channels, with its bias or without."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight[:, channels]
    part = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=bias).to(weight)
    with torch.no_grad():
        part.weight.copy_(weight)
        if part.bias is not None and conv.bias is not None:
            part.bias.copy_(conv.bias)
    return part
