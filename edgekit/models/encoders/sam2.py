"""The encoder graph of the SAM 2 line: trunk, neck, and the decoder's work on the photo alone.

Sources: Ravi et al., arXiv 2408.00714; facebookresearch/sam2, whose tensor names are kept. Two
steps that upstream does elsewhere depend on the photo only, so this graph does them once: adding
the no-memory embedding (a single photo has no earlier frames), and the decoder's 1x1 convolutions
of the high-resolution maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImageEncoder(nn.Module):
    """Trunk and neck under upstream's names."""

    def __init__(self, trunk: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """`image` [B, 3, S, S] -> the neck's output: one map, or several from fine to coarse."""
        return self.neck(self.trunk(image))  # type: ignore[no-any-return]


class HighResProjections(nn.Module):
    """The mask decoder's convolutions of high-resolution maps, under upstream's names."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)


class Sam2Encoder(nn.Module):
    """`image` -> `image_embeddings`, `high_res_features_0`, `high_res_features_1`."""

    def __init__(self, trunk: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(trunk, neck)
        self.sam_mask_decoder = HighResProjections()
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, 256))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, S, S] -> 256 channels at stride 16, 32 at stride 4, 64 at stride 8."""
        fine, middle, coarse = self.image_encoder(image)
        embeddings = coarse + self.no_mem_embed.reshape(1, -1, 1, 1)
        project = self.sam_mask_decoder
        return embeddings, project.conv_s0(fine), project.conv_s1(middle)
