"""Points, boxes and masks to tokens and a dense map."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d
from edgekit.records import Label


class Prompts(NamedTuple):
    """B prompts for one photo, as the graph contract has them; all float32."""

    coords: Tensor
    """[B, N, 2], x and y in frame pixels."""
    labels: Tensor
    """[B, N], codes of `records.Label`."""
    masks: Tensor
    """[B, 1, 4 * grid, 4 * grid] logits of earlier predictions."""
    has_mask: Tensor
    """[B], 1 where the mask counts, else 0."""

    def empty(self) -> Tensor:
        """[B, N], 1 where a slot must have no influence, else 0."""
        return (self.labels == Label.EMPTY).to(self.coords.dtype)


class FourierPositions(nn.Module):
    """Random Fourier features of normalised coordinates (arXiv 2006.10739)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, features))

    def forward(self, coords: Tensor) -> Tensor:
        """[..., 2] (x, y) in 0..1 -> [..., 2 * features]."""
        phase = (2 * coords - 1) @ self.positional_encoding_gaussian_matrix * (2 * math.pi)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class Positions(nn.Module):
    """Where prompts and image tokens are, in one encoding.

    Args:
        dim: channels of tokens and maps.
        grid: side of the image embedding.
        frame: side, in pixels, of the frame that coordinates refer to.
    """

    def __init__(self, *, dim: int = 256, grid: int = 64, frame: int = 1024) -> None:
        super().__init__()
        self.grid, self.frame = grid, frame
        self.pe_layer = FourierPositions(dim // 2)
        self._positions: Tensor | None = None

    def placed(self, coords: Tensor) -> Tensor:
        """[B, N, 2] in frame pixels -> [B, N, dim]; the half pixel to the centre is added here."""
        return self.pe_layer((coords + 0.5) / self.frame)  # type: ignore[no-any-return]

    def image_positions(self) -> Tensor:
        """Positional encoding of every image token, [1, grid * grid, dim], row by row."""
        if self._positions is not None:
            return self._positions
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(self.grid, device=device) + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        positions: Tensor = self.pe_layer(torch.stack([x, y], dim=-1).flatten(0, 1).unsqueeze(0))
        return positions

    def bake(self) -> None:
        """Keep the image positions as a constant: call on a copy, before capture."""
        positions = self.image_positions().detach()
        del self._positions
        self.register_buffer("_positions", positions, persistent=False)


class PromptEncoder(Positions):
    """SAM's prompt encoder for batches of unlike prompts.

    Labels are compared, never used as indices: a Gather or OneHot on them does not build in
    TensorRT (nanosam#16). Upstream's per-label loop gives the same sums.
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
        """Sparse tokens.

        Args:
            coords: [B, N, 2] in frame pixels.
            labels: [B, N], codes of `records.Label`.

        Returns:
            [B, N, dim]. The rows of EMPTY slots are finite and must be masked by the caller.
        """
        label = labels.unsqueeze(-1)
        tokens = self.placed(coords) * (label >= Label.BACKGROUND).to(coords.dtype)
        tokens = tokens + self.not_a_point_embed.weight * (label == Label.PADDING).to(coords.dtype)
        for code, embedding in enumerate(self.point_embeddings):
            tokens = tokens + embedding.weight * (label == code).to(coords.dtype)  # type: ignore[operator]
        return tokens

    def dense(self, mask_input: Tensor, has_mask_input: Tensor) -> Tensor:
        """Map to add to the image embedding.

        Args:
            mask_input: [B, 1, 4 * grid, 4 * grid] logits of an earlier mask.
            has_mask_input: [B], 1 to use it, 0 for the learned no-mask embedding.

        Returns:
            [B, dim, grid, grid].
        """
        has = has_mask_input.reshape(-1, 1, 1, 1)
        none = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return has * self.mask_downscaling(mask_input) + (1 - has) * none  # type: ignore[no-any-return]
