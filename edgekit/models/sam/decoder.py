"""SAM's decoder graph, as it is captured, exported and called by clients.

Source: `Sam` and `SamPredictor` of facebookresearch/segment-anything.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.models.sam.mask_decoder import Details, MaskDecoder
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.token_side import TokenSideDecoder


def decode(
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
    image: Tensor,
    prompts: Prompts,
    details: Details | None = None,
) -> tuple[Tensor, ...]:
    """Masks [B, 4, 4 * grid, 4 * grid] and `MaskDecoder.scores` for B prompts on one photo.

    Args:
        prompt_encoder: embeds points and masks.
        mask_decoder: mixes them with the image.
        image: [1, 256, grid, grid], the photo's embedding.
        prompts: B prompts.
        details: high-resolution features of the photo, in families that have them.
    """
    sparse = prompt_encoder.points(prompts.coords, prompts.labels)
    dense = prompt_encoder.dense(prompts.masks, prompts.has_mask)
    positions = prompt_encoder.image_positions()
    return mask_decoder(image + dense, positions, sparse, prompts.empty(), details)  # type: ignore[no-any-return]


class SamDecoder(nn.Module):
    """Prompt encoder and mask decoder in one module, for a batch of prompts on one photo."""

    def __init__(self, *, frame: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder(grid=grid, frame=frame)
        self.mask_decoder = MaskDecoder()

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, ...]:
        """Masks for B prompts.

        Args:
            image_embeddings: [1, 256, 64, 64], of one photo.
            point_coords: [B, N, 2], x and y in the 1024 frame.
            point_labels: [B, N], codes of `records.Label`; EMPTY slots have no influence.
            mask_input: [B, 1, 256, 256] logits.
            has_mask_input: [B], 1 or 0.

        Returns:
            low_res_masks [B, 4, 256, 256] logits and iou_predictions [B, 4].
        """
        prompts = Prompts(point_coords, point_labels, mask_input, has_mask_input)
        return decode(self.prompt_encoder, self.mask_decoder, image_embeddings, prompts)

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder.

        A subclass is exported as it is, because the other form would lose what it overrides.
        """
        if type(self) is not SamDecoder:
            return self
        return TokenSideDecoder(self.prompt_encoder, self.mask_decoder)
