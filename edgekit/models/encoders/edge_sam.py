"""EdgeSAM's image encoder: RepViT-M1, whose last two stages are summed at stride 16.

Sources: Zhou et al., arXiv 2312.06660; chongzhou96/EdgeSAM, whose tensor names are kept.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.models.encoders.bicubic import BicubicResize
from edgekit.models.encoders.layers import sam_neck
from edgekit.models.encoders.repvit import EDGE_SAM_M1, RepVitSize, repvit_features


class ProjectAndDouble(nn.Module):
    """A 1x1 convolution, then bicubic upsampling by 2, under upstream's name `op_list`."""

    def __init__(self, in_channels: int, channels: int, *, grid: int) -> None:
        super().__init__()
        self.op_list = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), BicubicResize(grid, 2 * grid)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, grid, grid] -> [B, channels, 2 * grid, 2 * grid]."""
        return self.op_list(x)  # type: ignore[no-any-return]


class EdgeSamEncoder(nn.Module):
    """`image` [B, 3, frame, frame] -> `image_embeddings` [B, 256, frame / 16, frame / 16]."""

    def __init__(self, size: RepVitSize = EDGE_SAM_M1, *, frame: int = 1024) -> None:
        super().__init__()
        self.stride_16 = size.blocks_to(2)
        self.features = repvit_features(size)
        self.fuse_stage2 = nn.Conv2d(size.widths[2], 256, 1, bias=False)
        self.fuse_stage3 = ProjectAndDouble(size.widths[3], 256, grid=frame // 32)
        self.neck = sam_neck(256)

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        stage2 = self.features[: self.stride_16](image)
        stage3 = self.features[self.stride_16 :](stage2)
        fused = self.fuse_stage2(stage2) + self.fuse_stage3(stage3)
        return self.neck(fused)  # type: ignore[no-any-return]
