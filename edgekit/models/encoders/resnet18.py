"""NanoSAM's image encoder: ResNet18, one upsampling stage, a projection and learned positions.

Sources: He et al., arXiv 1512.03385 (ResNet); NVIDIA-AI-IOT/nanosam. The tensor names are those of
its training checkpoint, with timm's ResNet under `backbone`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a residual; the first has the stride."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """The trunk without pooling and classifier: [B, 3, H, W] -> [B, 512, H / 32, W / 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._stage(64, 64, stride=1)
        self.layer2 = self._stage(64, 128, stride=2)
        self.layer3 = self._stage(128, 256, stride=2)
        self.layer4 = self._stage(256, 512, stride=2)

    @staticmethod
    def _stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(in_channels, channels, stride=stride),
            BasicBlock(channels, channels, stride=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features at stride 32."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]


class ResNet18Encoder(nn.Module):
    """`image` [B, 3, 1024, 1024] -> `image_embeddings` [B, 256, 64, 64]."""

    def __init__(self, *, grid: int = 64) -> None:
        super().__init__()
        self.backbone = ResNet18()
        self.up_1 = nn.Sequential(
            nn.Conv2d(512, 256, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(256, 256, 3, stride=2, padding=1, output_padding=1),
            nn.GELU(),
        )
        self.proj = nn.Sequential(
            nn.Conv2d(256, 256, 3, padding=1), nn.GELU(), nn.Conv2d(256, 256, 1)
        )
        self.pos_embedding = nn.Parameter(torch.zeros(1, 256, grid, grid))

    def features(self, image: Tensor) -> Tensor:
        """Embeddings before the learned positions, for any H and W that are multiples of 32."""
        return self.proj(self.up_1(self.backbone(image)))  # type: ignore[no-any-return]

    def positions(self) -> Tensor:
        """The learned positions [1, 256, grid, grid], which `forward` adds to the features."""
        return self.pos_embedding

    def forward(self, image: Tensor) -> Tensor:
        """Embed a normalised, padded photo."""
        return self.features(image) + self.pos_embedding
