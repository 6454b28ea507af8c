"""MobileSAMv2's EfficientViT: EfficientViT-SAM's encoder behind a halved photo."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgekit.models.encoders.efficientvit import EfficientVitEncoder


class HalvingEfficientVitEncoder(EfficientVitEncoder):
    """`image` [B, 3, 2 * frame, 2 * frame] -> `image_embeddings` [B, 256, 64, 64].

    Upstream interpolates bilinearly to half the side, which is the mean of 2 x 2 pixels.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Normalised, padded photo to embeddings."""
        return super().forward(F.avg_pool2d(image, 2))
