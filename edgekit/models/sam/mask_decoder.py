"""SAM's mask decoder: mask logits and predicted IoU from tokens and an image embedding.

Source: facebookresearch/segment-anything, modeling/mask_decoder.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d, Mlp
from edgekit.models.sam.transformer import MlpOf, TokenMlp, TwoWayTransformer

MASKS = 4  # 0 is the single mask; 1 to 3 are whole, part and subpart of an ambiguous prompt

Details = tuple[Tensor, Tensor]
"""High-resolution features of SAM 2: [1, dim / 8, 4H, 4W] and [1, dim / 4, 2H, 2W]."""


class MaskDecoder(nn.Module):
    """SAM's mask decoder. It always returns all four masks; the client chooses.

    A family with more outputs appends tokens in `output_tokens` and results in `scores`.
    """

    def __init__(self, dim: int = 256, *, mlp: MlpOf = TokenMlp) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(dim, mlp=mlp)
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

    def output_tokens(self) -> Tensor:
        """[5, dim]: the IoU token, then one token per mask; `scores` relies on this order."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight])

    def mask_weights(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T, dim] -> each mask's weights of the upscaled channels, [B, 4, dim / 8]."""
        heads = self.output_hypernetworks_mlps
        return torch.stack([head(tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)

    def scores(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """All results except the masks, from tokens [B, T, dim]: the predicted IoU [B, 4]."""
        return (self.iou_prediction_head(tokens[:, 0]),)

    def upscale(self, image: Tensor, details: Details | None) -> Tensor:
        """[B, dim, H, W] -> [B, dim / 8, 4H, 4W]; details are added after each upsampling."""
        first, norm, activation, second, last_activation = self.output_upscaling
        doubled = first(image) if details is None else first(image) + details[1]
        whole = second(activation(norm(doubled)))
        return last_activation(whole if details is None else whole + details[0])  # type: ignore[no-any-return]

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        prompts: Tensor,
        empty: Tensor,
        details: Details | None = None,
    ) -> tuple[Tensor, ...]:
        """Decode.

        Args:
            image: [B, dim, H, W], image embedding plus dense prompt.
            image_pe: [1, H * W, dim].
            prompts: [B, N, dim] sparse tokens.
            empty: [B, N], 1 for slots that must have no influence, 0 for the others.
            details: high-resolution features, in families that have them.

        Returns:
            Logits [B, 4, 4H, 4W] and `scores`: predicted IoU [B, 4] first.
        """
        tokens, mixed = self.transform(image, image_pe, prompts, empty)
        upscaled = self.upscale(mixed, details)
        masks: Tensor = self.mask_weights(tokens) @ upscaled.flatten(2)
        masks = torch.unflatten(masks, 2, upscaled.shape[2:])
        return masks, *self.scores(tokens)

    def transform(
        self, image: Tensor, image_pe: Tensor, prompts: Tensor, empty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All tokens [B, T, dim] and the image [B, dim, H, W] after the two-way transformer."""
        own = self.output_tokens().unsqueeze(0).expand(prompts.shape[0], -1, -1)
        tokens = torch.cat([own, prompts], dim=1)
        # exp(-1e4) is exactly 0 in float32, and -1e4 is finite in float16. -inf would give NaN in a
        # fully masked softmax row and cannot be represented after quantization.
        bias = torch.cat([torch.zeros_like(own[..., 0]), empty * -1e4], dim=1)
        tokens, mixed = self.transformer(
            tokens, image.flatten(2).transpose(1, 2), image_pe, bias.unsqueeze(1).unsqueeze(1)
        )
        return tokens, torch.unflatten(mixed.transpose(1, 2), 2, image.shape[2:])
