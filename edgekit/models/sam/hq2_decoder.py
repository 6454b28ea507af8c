"""HQ-SAM 2's decoder: SAM 2's, with one more token for a finer mask.

Source: SysCV/sam-hq, sam-hq2, whose tensor names are kept. As in `hq_decoder.py`, all four of SAM
2's masks have the fine mask added, and the fine mask alone comes fifth. Its features come from the
upscaled image only: unlike SAM-HQ, no early map of the encoder is added. Upstream measures whether
the first mask is stable before it adds the fine one, so the first mask without it comes sixth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.sam.hq_decoder import mask_feature_layers, weighted_features
from edgekit.models.sam.layers import Mlp
from edgekit.models.sam.mask_decoder import Details
from edgekit.models.sam.photo_side import PROMPTS, PhotoMaps, takes
from edgekit.models.sam.prompt_encoder import Prompts
from edgekit.models.sam.sam2_decoder import (
    Sam2Decoder,
    Sam2MaskDecoder,
    Sam2PhotoSide,
    Sam2TokenSide,
)
from edgekit.models.sam.token_side import masks_from_rows


class Hq2MaskDecoder(Sam2MaskDecoder):
    """SAM 2's mask decoder, with a token, an MLP and two convolutions for the fine mask."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__(dim)
        channels = dim // 8
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = Mlp((dim, dim, dim, channels))
        self.embedding_maskfeature = mask_feature_layers(channels)

    def output_tokens(self) -> Tensor:
        """[7, dim]: SAM 2's tokens, then the fine mask's."""
        return torch.cat([super().output_tokens(), self.hf_token.weight])

    def fine_mask_weights(self, tokens: Tensor) -> Tensor:
        """The fine mask's weights of its features, [B, 1, dim / 8], from the tokens [B, T, dim]."""
        place = len(super().output_tokens())
        return self.hf_mlp(tokens[:, place]).unsqueeze(1)  # type: ignore[no-any-return]

    def answers(self, tokens: Tensor, masks: Tensor, fine: Tensor) -> tuple[Tensor, ...]:
        """All results, from the masks [B, 4, 4H, 4W] and the fine mask [B, 1, 4H, 4W].

        The fine mask has no score of its own; it gets the best of masks 1 to 3.
        """
        iou, objects = self.scores(tokens)
        best = iou[:, 1:].amax(dim=1, keepdim=True)
        listed = torch.cat([masks + fine, fine, masks[:, :1]], dim=1)
        return listed, torch.cat([iou, best, iou[:, :1]], dim=1), objects

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        prompts: Tensor,
        empty: Tensor,
        details: Details | None = None,
    ) -> tuple[Tensor, ...]:
        """As `MaskDecoder.forward`, with six masks [B, 6, 4H, 4W] and scores [B, 6]."""
        tokens, mixed = self.transform(image, image_pe, prompts, empty)
        upscaled = self.upscale(mixed, details)
        features, size = self.embedding_maskfeature(upscaled), upscaled.shape[2:]
        masks = torch.unflatten(self.mask_weights(tokens) @ upscaled.flatten(2), 2, size)
        fine = torch.unflatten(self.fine_mask_weights(tokens) @ features.flatten(2), 2, size)
        return self.answers(tokens, masks, fine)


class Hq2Decoder(Sam2Decoder):
    """`Sam2Decoder` with six masks: four with the fine mask added, the fine one, SAM 2's first."""

    def __init__(self, *, frame: int = 1024) -> None:
        super().__init__(frame=frame)
        self.sam_mask_decoder = Hq2MaskDecoder()

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder."""
        return Hq2TokenSide(self.sam_prompt_encoder, self.sam_mask_decoder)


class Hq2TokenSide(Sam2TokenSide):
    """`Hq2Decoder` on a photo's maps."""

    mask_decoder: Hq2MaskDecoder

    @takes(*Sam2PhotoSide.names, *PROMPTS)
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `Hq2Decoder.forward`, with the photo's maps in place of the features."""
        *maps, fine_rows, coarse_rows = inputs[: len(Sam2PhotoSide.names)]
        prompts = Prompts(*inputs[len(Sam2PhotoSide.names) :])
        tokens, rows = self._upscale(PhotoMaps(*maps), prompts, (fine_rows, coarse_rows))
        decoder, grid = self.mask_decoder, self.prompt_encoder.grid
        masks = masks_from_rows(rows @ decoder.mask_weights(tokens).transpose(1, 2), grid)
        fine = weighted_features(
            decoder.embedding_maskfeature,
            masks_from_rows(rows, grid),
            decoder.fine_mask_weights(tokens),
        )
        return decoder.answers(tokens, masks, fine)
