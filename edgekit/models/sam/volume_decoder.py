"""SAM's prompt encoder and mask decoder with three axes: SAM-Med3D's, which FastSAM3D keeps.

Sources: arcadelab/FastSAM3D, prompt_encoder3D.py and mask_decoder3D.py; uni-medical/SAM-Med3D. A
point's coordinates are in the order of the volume's axes. There are no boxes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgekit.models.sam.decoder import decode
from edgekit.models.sam.layers import LayerNorm3d, Mlp
from edgekit.models.sam.mask_decoder import MASKS, MaskDecoder
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts

DIM = 384


class VolumePositions(nn.Module):
    """Random Fourier features of three coordinates: their sines, cosines and the sines again."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, features))

    def forward(self, coords: Tensor) -> Tensor:
        """[..., 3] in 0..1 -> [..., 3 * features]."""
        parts = zip(
            coords.chunk(3, dim=-1), self.positional_encoding_gaussian_matrix.unbind(), strict=True
        )
        first, second, third = ((2 * along - 1) * row for along, row in parts)
        phase = (first + second + third) * (2 * math.pi)
        sine = phase.sin()
        return torch.cat([sine, phase.cos(), sine], dim=-1)


class VolumePromptEncoder(PromptEncoder):
    """SAM's prompt encoder for points and masks in a volume.

    It has the embeddings of background and foreground points, and none of box corners.
    """

    axes = 3

    def __init__(self, *, dim: int = DIM, grid: int = 8, frame: int = 128) -> None:
        super().__init__(dim=dim, grid=grid, frame=frame)
        self.pe_layer = VolumePositions(dim // 3)  # type: ignore[assignment]
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(2))
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, 4, 2, stride=2),
            LayerNorm3d(4),
            nn.GELU(),
            nn.Conv3d(4, 16, 2, stride=2),
            LayerNorm3d(16),
            nn.GELU(),
            nn.Conv3d(16, dim, 1),
        )

    def encode_coords(self, coords: Tensor) -> Tensor:
        """[B, N, 3] in voxels -> [B, N, dim]; adds half a voxel, for the voxel's centre."""
        return self.pe_layer((coords + 0.5) / self.frame)  # type: ignore[no-any-return]

    def image_positions(self) -> Tensor:
        """The positional encoding of all image tokens, [1, grid^3, dim], the last axis fastest.

        Upstream encodes the first two axes in the other order here than in `encode_coords`.
        """
        if self._positions is not None:
            return self._positions
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(self.grid, device=device) + 0.5) / self.grid
        first, second, third = torch.meshgrid(centres, centres, centres, indexing="ij")
        coords = torch.stack([second, first, third], dim=-1)
        return self.pe_layer(coords.reshape(1, -1, 3))  # type: ignore[no-any-return]


class VolumeMaskDecoder(MaskDecoder):
    """SAM's mask decoder, whose masks are volumes."""

    def __init__(self, dim: int = DIM) -> None:
        super().__init__(dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(dim, dim // 4, 2, stride=2),
            LayerNorm3d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose3d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.iou_prediction_head = Mlp((dim, 256, 256, MASKS))


class VolumeDecoder(nn.Module):
    """Prompt encoder and mask decoder in one module, for a batch of prompts on one volume."""

    def __init__(self, *, dim: int = DIM, frame: int = 128, grid: int = 8) -> None:
        super().__init__()
        self.prompt_encoder = VolumePromptEncoder(dim=dim, grid=grid, frame=frame)
        self.mask_decoder = VolumeMaskDecoder(dim)

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
            image_embeddings: [1, 384, 8, 8, 8], of one volume.
            point_coords: [B, N, 3], voxel indices in the order of the volume's axes.
            point_labels: [B, N], codes of `records.Label`; EMPTY slots have no influence.
            mask_input: [B, 1, 32, 32, 32] logits.
            has_mask_input: [B], 1 or 0.

        Returns:
            low_res_masks [B, 4, 32, 32, 32] logits and iou_predictions [B, 4].
        """
        prompts = Prompts(point_coords, point_labels, mask_input, has_mask_input)
        return decode(self.prompt_encoder, self.mask_decoder, image_embeddings, prompts)
