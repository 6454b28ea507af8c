"""Tokens and image embedding to mask logits and predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d, Mlp
from edgekit.models.sam.transformer import TwoWayTransformer

MASKS = 4  # index 0: the single mask; 1 to 3: whole, part and subpart of an ambiguous prompt


class MaskDecoder(nn.Module):
    """SAM's mask decoder; every call returns all four masks, the client picks."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASKS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Mlp((dim, dim, dim, dim // 8)) for _ in range(MASKS)
        )
        self.iou_prediction_head = Mlp((dim, dim, dim, MASKS))

    def forward(
        self, image: Tensor, image_pe: Tensor, prompts: Tensor, empty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            image: [B, dim, H, W], image embedding plus dense prompt.
            image_pe: [1, H * W, dim].
            prompts: [B, N, dim] sparse tokens.
            empty: [B, N], 1 where a slot must have no influence, else 0.

        Returns:
            Logits [B, 4, 4H, 4W] and predicted IoU [B, 4].
        """
        height, width = image.shape[-2:]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).unsqueeze(0)
        own = own.expand(prompts.shape[0], -1, -1)
        tokens = torch.cat([own, prompts], dim=1)
        # exp(-1e4) is exactly 0 in float32 and -1e4 is finite in float16; -inf is neither safe in
        # a padded softmax row nor representable after quantization.
        bias = torch.cat([torch.zeros_like(own[..., 0]), empty * -1e4], dim=1)
        tokens, mixed = self.transformer(
            tokens, image.flatten(2).transpose(1, 2), image_pe, bias.unsqueeze(1).unsqueeze(1)
        )
        upscaled = self.output_upscaling(mixed.transpose(1, 2).unflatten(2, (height, width)))
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        masks = (weights @ upscaled.flatten(2)).unflatten(2, (4 * height, 4 * width))
        return masks, self.iou_prediction_head(tokens[:, 0])
