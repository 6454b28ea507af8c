"""SAM 2's neck: projects every stage to 256 channels and adds the coarsest map to the next finer.

Sources: facebookresearch/sam2, `FpnNeck` with `fpn_top_down_levels` 2 and 3, nearest and sum; Lin
et al., arXiv 1612.03144 (Feature Pyramid Networks). EdgeTAM has the same neck.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Lateral(nn.Module):
    """A 1x1 convolution, under upstream's name `conv`."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H, W]."""
        return self.conv(x)  # type: ignore[no-any-return]


class FpnNeck(nn.Module):
    """Four maps at strides 4 to 32 -> three maps of one width; the third includes the coarsest."""

    def __init__(self, widths: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        # Upstream numbers the maps from the coarsest.
        self.convs = nn.ModuleList(Lateral(width, channels) for width in reversed(widths))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """[B, widths[i], H_i, W_i], from fine to coarse -> strides 4, 8 and 16."""
        fine, middle, coarse, coarsest = (
            lateral(x) for lateral, x in zip(reversed(self.convs), maps, strict=True)
        )
        return fine, middle, coarse + F.interpolate(coarsest, scale_factor=2.0, mode="nearest")
