"""ESAM's image encoder: EfficientFormerV2 and a feature pyramid of our own, then SAM's neck.

The paper names the backbone; its size and the layers after it are not public. The pyramid here
(Lin et al., arXiv 1612.03144) projects each stage to 256 channels, resamples it to SAM's grid by
means or nearest pixels, and sums the four maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.efficientformer_v2 import EfficientFormerSize, EfficientFormerV2
from edgekit.models.encoders.layers import sam_neck


class Pyramid(nn.Module):
    """Four maps at strides 4 to 32 -> their sum at stride 16, of `channels` channels."""

    def __init__(self, widths: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """[B, widths[i], H_i, W_i], from fine to coarse -> [B, channels, H, W]."""
        finest, fine, middle, coarse = maps
        # The mean before the projection: the same numbers, for a part of the work.
        at_grid = (F.avg_pool2d(finest, 4, 4), F.avg_pool2d(fine, 2, 2), middle)
        *laterals, last = self.laterals
        summed = F.interpolate(last(coarse), scale_factor=2.0, mode="nearest")
        for lateral, x in zip(laterals, at_grid, strict=True):
            summed = summed + lateral(x)
        return summed


class EsamEncoder(nn.Module):
    """`image` [B, 3, frame, frame] -> `image_embeddings` [B, 256, frame / 16, frame / 16]."""

    def __init__(self, size: EfficientFormerSize, *, frame: int = 1024) -> None:
        super().__init__()
        self.backbone = EfficientFormerV2(size, frame=frame)
        self.pyramid = Pyramid(size.widths)
        self.neck = sam_neck(256)

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        return self.neck(self.pyramid(self.backbone(image)))  # type: ignore[no-any-return]
