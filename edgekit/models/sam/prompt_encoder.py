"""SAM's prompt encoder: points and boxes become tokens, a mask becomes a dense map.

Source: facebookresearch/segment-anything, modeling/prompt_encoder.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d
from edgekit.records import Label


class Prompts(NamedTuple):
    """B prompts on one photo, as the decoder's inputs hold them; all float32."""

    coords: Tensor
    """[B, N, 2], x and y in frame pixels."""
    labels: Tensor
    """[B, N], codes of `records.Label`."""
    masks: Tensor | None = None
    """[B, 1, 4 * grid, 4 * grid] logits of earlier predictions; None if the family takes none."""
    has_mask: Tensor | None = None
    """[B], 1 for prompts with a mask, 0 for the others; None if the family takes no masks."""

    def empty(self) -> Tensor:
        """[B, N], 1 for slots that must have no influence, 0 for the others."""
        return (self.labels == Label.EMPTY).to(self.coords.dtype)


class FourierPositions(nn.Module):
    """Random Fourier features of normalised coordinates (Tancik et al., arXiv 2006.10739)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, features))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x and y in 0..1, each [..., 1] -> [..., 2 * features]."""
        # Not a product of matrices, which OpenVINO cannot keep in FP32 beside others in BF16: a
        # phase in BF16 moves a point by pixels.
        across, down = self.positional_encoding_gaussian_matrix
        phase = ((2 * x - 1) * across + (2 * y - 1) * down) * (2 * math.pi)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class Positions(nn.Module):
    """The positional encoding that prompts and image tokens share.

    Args:
        dim: channels of tokens and maps.
        grid: side of the image embedding, in tokens.
        frame: side, in pixels, of the frame that coordinates refer to.
    """

    axes = 2
    """The image's axes, and the coordinates of a point."""

    def __init__(self, *, dim: int = 256, grid: int = 64, frame: int = 1024) -> None:
        super().__init__()
        self.grid, self.frame = grid, frame
        self.pe_layer = FourierPositions(dim // 2)
        self._positions: Tensor | None = None

    def encode_coords(self, coords: Tensor) -> Tensor:
        """[B, N, 2] in frame pixels -> [B, N, dim]; adds half a pixel, for the pixel's centre."""
        x, y = coords.chunk(2, dim=-1)
        return self.pe_layer((x + 0.5) / self.frame, (y + 0.5) / self.frame)  # type: ignore[no-any-return]

    def image_positions(self) -> Tensor:
        """The positional encoding of all image tokens, [1, grid * grid, dim], row by row."""
        if self._positions is not None:
            return self._positions
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(self.grid, device=device) + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        positions: Tensor = self.pe_layer(x.reshape(1, -1, 1), y.reshape(1, -1, 1))
        return positions

    def bake(self) -> None:
        """Turn the image positions into a constant. Call it on a copy, before capture."""
        positions = self.image_positions().detach()
        del self._positions
        self.register_buffer("_positions", positions, persistent=False)


class PromptEncoder(Positions):
    """SAM's prompt encoder, for batches of prompts that differ in kind.

    Labels are compared, never used as indices: TensorRT cannot build a Gather or OneHot on them
    (NVIDIA-AI-IOT/nanosam#16). The sums are those of upstream's loop over labels.
    """

    def __init__(self, *, dim: int = 256, grid: int = 64, frame: int = 1024) -> None:
        super().__init__(dim=dim, grid=grid, frame=frame)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """One token per point slot.

        Args:
            coords: [B, N, 2] in frame pixels.
            labels: [B, N], codes of `records.Label`.

        Returns:
            [B, N, dim]. The rows of EMPTY slots are finite; the caller must mask them.
        """
        label = labels.unsqueeze(-1)
        tokens = self.encode_coords(coords) * (label >= Label.BACKGROUND).to(coords.dtype)
        tokens = tokens + self.not_a_point_embed.weight * (label == Label.PADDING).to(coords.dtype)
        for code, embedding in enumerate(self.point_embeddings):
            tokens = tokens + embedding.weight * (label == code).to(coords.dtype)  # type: ignore[operator]
        return tokens

    def dense(self, mask_input: Tensor | None, has_mask_input: Tensor | None) -> Tensor:
        """The map that is added to the image embedding.

        Args:
            mask_input: [B, 1, 4 * grid, 4 * grid] logits of an earlier mask.
            has_mask_input: [B], 1 to use it, 0 for the learned no-mask embedding.

        Returns:
            [B, dim, grid, grid]; without the arguments, the embedding alone, [1, dim, 1, 1].
        """
        spatial = (1,) * self.axes
        none = self.no_mask_embed.weight.reshape(1, -1, *spatial)
        if mask_input is None or has_mask_input is None:
            return none
        has = has_mask_input.reshape(-1, 1, *spatial)
        return has * self.mask_downscaling(mask_input) + (1 - has) * none  # type: ignore[no-any-return]
