"""EfficientSAM's decoder: SAM's design with other details.

Sources: Xiong et al., arXiv 2312.00863; yformer/EfficientSAM, whose tensor names are kept. It
differs from SAM's decoder in that a padding point keeps the positional encoding of its coordinate;
there are no embeddings for background points and mask prompts; every activation is GELU;
self-attention adds the positions to the tokens for good; and the upscaled map is normalised as a
whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.models.sam.mask_decoder import MASKS
from edgekit.models.sam.prompt_encoder import Positions
from edgekit.models.sam.transformer import TwoWayBlock, TwoWayTransformer
from edgekit.records import Label


class FcMlp(nn.Module):
    """Linear layers with an activation between them: `layers.0.0`, `layers.1.0`, ..., `fc`."""

    def __init__(self, widths: Sequence[int], *, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), activation())
                for a, b in itertools.pairwise(widths[:-1])
            )
        )
        self.fc = nn.Linear(widths[-2], widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """[..., widths[0]] -> [..., widths[-1]]."""
        return self.fc(self.layers(x))  # type: ignore[no-any-return]


class PositionalBlock(TwoWayBlock):
    """A block whose self-attention adds the positions to the tokens and keeps them there.

    The first block adds none, because its tokens are their own positions.
    """

    def self_attend(self, tokens: Tensor, token_pe: Tensor, key_bias: Tensor | None) -> Tensor:
        """Self-attention of the tokens, with a residual in every block."""
        x = tokens if self.first else tokens + token_pe
        return x + self.self_attn(x, x, x, key_bias)  # type: ignore[no-any-return]


class EfficientSamPromptEncoder(Positions):
    """Embeds points and box corners as tokens; labels are compared, as in `PromptEncoder`."""

    def __init__(self, *, dim: int = 256, grid: int = 64, frame: int = 1024) -> None:
        super().__init__(dim=dim, grid=grid, frame=frame)
        self.invalid_points = nn.Embedding(1, dim)
        self.point_embeddings = nn.Embedding(1, dim)
        self.bbox_top_left_embeddings = nn.Embedding(1, dim)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, dim)

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """The prompts' tokens, as in `PromptEncoder.points`."""
        tokens, label = self.encode_coords(coords), labels.unsqueeze(-1)
        for code, embedding in (
            (Label.PADDING, self.invalid_points),
            (Label.FOREGROUND, self.point_embeddings),
            (Label.BOX_TOP_LEFT, self.bbox_top_left_embeddings),
            (Label.BOX_BOTTOM_RIGHT, self.bbox_bottom_right_embeddings),
        ):
            tokens = tokens + embedding.weight * (label == code).to(coords.dtype)
        return tokens


class EfficientSamMaskDecoder(nn.Module):
    """Four masks from tokens and image embedding; the first is the single mask."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(
            dim, mlp=lambda width, hidden: FcMlp((width, hidden, width)), block=PositionalBlock
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASKS, dim)
        self.final_output_upscaling_layers = nn.Sequential(
            nn.Sequential(
                nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
                nn.GroupNorm(1, dim // 4),
                nn.GELU(),
            ),
            nn.Sequential(nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2), nn.GELU()),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            FcMlp((dim, dim, dim, dim // 8)) for _ in range(MASKS)
        )
        self.iou_prediction_head = FcMlp((dim, dim, dim, MASKS))

    def forward(
        self, image: Tensor, image_pe: Tensor, prompts: Tensor, empty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `MaskDecoder.forward`; all prompts share the image [1, dim, H, W]."""
        batch, (height, width) = prompts.shape[0], image.shape[-2:]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        own = own.unsqueeze(0).expand(batch, -1, -1)
        bias = torch.cat([torch.zeros_like(own[..., 0]), empty * -1e4], dim=1)
        tokens, mixed = self.transformer(
            torch.cat([own, prompts], dim=1),
            image.flatten(2).transpose(1, 2),
            image_pe,
            bias.unsqueeze(1).unsqueeze(1),
        )
        mixed = torch.unflatten(mixed.transpose(1, 2), 2, (height, width))
        upscaled = self.final_output_upscaling_layers(mixed)
        heads = self.output_hypernetworks_mlps
        weights = torch.stack([head(tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)
        masks = torch.unflatten(weights @ upscaled.flatten(2), 2, (4 * height, 4 * width))
        return masks, self.iou_prediction_head(tokens[:, 0])


class EfficientSamDecoder(nn.Module):
    """The decoder graph, for a batch of prompts on one photo."""

    def __init__(self, *, frame: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.prompt_encoder = EfficientSamPromptEncoder(grid=grid, frame=frame)
        self.mask_decoder = EfficientSamMaskDecoder()

    def forward(
        self, image_embeddings: Tensor, point_coords: Tensor, point_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks for B prompts.

        Args:
            image_embeddings: [1, 256, 64, 64], of one photo.
            point_coords: [B, N, 2], x and y in the frame; upstream always passes six.
            point_labels: [B, N], codes of `records.Label`; EMPTY slots have no influence.

        Returns:
            low_res_masks [B, 4, 256, 256] logits and iou_predictions [B, 4].
        """
        empty = (point_labels == Label.EMPTY).to(point_coords.dtype)
        sparse = self.prompt_encoder.points(point_coords, point_labels)
        positions = self.prompt_encoder.image_positions()
        return self.mask_decoder(image_embeddings, positions, sparse, empty)  # type: ignore[no-any-return]
