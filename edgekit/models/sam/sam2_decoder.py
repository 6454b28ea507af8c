"""The decoders of the SAM 2 line: SAM's, with an object score and high-resolution features.

Sources: Ravi et al., arXiv 2408.00714; facebookresearch/sam2, whose tensor names are kept. A
sigmoid maps the predicted IoU to 0-1. Upstream puts the object token first; here it is last, which
does not matter to attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.sam.decoder import decode
from edgekit.models.sam.layers import Mlp
from edgekit.models.sam.mask_decoder import MaskDecoder
from edgekit.models.sam.photo_side import (
    PHOTO_MAPS,
    PROMPTS,
    PhotoMaps,
    PhotoSide,
    rows_from_details,
    takes,
)
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.token_side import TokenSide, TokenSideDecoder


class Sam2MaskDecoder(MaskDecoder):
    """SAM's mask decoder with an object score."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__(dim, mlp=lambda width, hidden: Mlp((width, hidden, width)))
        self.obj_score_token = nn.Embedding(1, dim)
        self.pred_obj_score_head = Mlp((dim, dim, dim, 1))

    def output_tokens(self) -> Tensor:
        """[6, dim]: the IoU token, one token per mask, then the object's."""
        return torch.cat([super().output_tokens(), self.obj_score_token.weight])

    def scores(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """The predicted IoU [B, 4] in 0-1, and the object logit [B, 1], above 0 for an object."""
        (iou,) = super().scores(tokens)
        place = 1 + self.mask_tokens.num_embeddings
        return torch.sigmoid(iou), self.pred_obj_score_head(tokens[:, place])


class ObjectDecoder(nn.Module):
    """`SamDecoder` with an object score, without high-resolution features: EfficientTAM's."""

    def __init__(self, *, frame: int = 1024) -> None:
        super().__init__()
        self.sam_prompt_encoder = PromptEncoder(grid=frame // 16, frame=frame)
        self.sam_mask_decoder = Sam2MaskDecoder()

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, ...]:
        """As `SamDecoder.forward`, with a third result: object_scores [B, 1], logits."""
        prompts = Prompts(point_coords, point_labels, mask_input, has_mask_input)
        return decode(self.sam_prompt_encoder, self.sam_mask_decoder, image_embeddings, prompts)

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder."""
        return TokenSideDecoder(self.sam_prompt_encoder, self.sam_mask_decoder)


class Sam2Decoder(nn.Module):
    """`ObjectDecoder` with high-resolution features: SAM 2, 2.1 and EdgeTAM."""

    def __init__(self, *, frame: int = 1024) -> None:
        super().__init__()
        self.sam_prompt_encoder = PromptEncoder(grid=frame // 16, frame=frame)
        self.sam_mask_decoder = Sam2MaskDecoder()

    def forward(  # noqa: PLR0913, PLR0917 (the graph contract)
        self,
        image_embeddings: Tensor,
        high_res_features_0: Tensor,
        high_res_features_1: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, ...]:
        """As `ObjectDecoder.forward`.

        Args:
            image_embeddings: [1, 256, 64, 64], of one photo.
            high_res_features_0: [1, 32, 256, 256], after the 1x1 convolution.
            high_res_features_1: [1, 64, 128, 128], after the 1x1 convolution.
            point_coords: [B, N, 2], x and y in the frame.
            point_labels: [B, N], codes of `records.Label`.
            mask_input: [B, 1, 256, 256] logits.
            has_mask_input: [B], 1 or 0.

        Returns:
            low_res_masks [B, 4, 256, 256] logits, iou_predictions [B, 4], object_scores [B, 1].
        """
        return decode(
            self.sam_prompt_encoder,
            self.sam_mask_decoder,
            image_embeddings,
            Prompts(point_coords, point_labels, mask_input, has_mask_input),
            (high_res_features_0, high_res_features_1),
        )

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder."""
        return Sam2TokenSide(self.sam_prompt_encoder, self.sam_mask_decoder)


class Sam2PhotoSide(PhotoSide):
    """`PhotoSide` with the high-resolution features, as rows."""

    names = (*PHOTO_MAPS, "photo_fine", "photo_coarse")

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__(prompt_encoder, mask_decoder)
        self.grid = prompt_encoder.grid

    def forward(  # type: ignore[override]
        self, image_embeddings: Tensor, high_res_features_0: Tensor, high_res_features_1: Tensor
    ) -> tuple[Tensor, ...]:
        """The features -> the fields of `PhotoMaps`, then `rows_from_details`."""
        details = high_res_features_0, high_res_features_1
        return *super().forward(image_embeddings), *rows_from_details(details, self.grid)


class Sam2TokenSide(TokenSide):
    """`Sam2Decoder` on a photo's maps."""

    def photo_side(self) -> nn.Module:
        """What belongs to the encoder graph."""
        return Sam2PhotoSide(self.prompt_encoder, self.mask_decoder)

    @takes(*Sam2PhotoSide.names, *PROMPTS)
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `Sam2Decoder.forward`, with the photo's maps in place of the features."""
        *maps, fine, coarse = inputs[: len(Sam2PhotoSide.names)]
        prompts = Prompts(*inputs[len(Sam2PhotoSide.names) :])
        return self.decode(PhotoMaps(*maps), prompts, (fine, coarse))
