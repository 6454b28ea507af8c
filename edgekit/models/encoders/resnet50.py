"""ResNet-50 as a backbone: four maps instead of a class.

Sources: He et al., arXiv 1512.03385. The stride is in a block's 3x3 convolution, as in torchvision,
whose tensor names are kept.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (3, 4, 6, 3)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a residual; the 3x3 has the stride."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        out_channels = _EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, 4 * channels, H / stride, W / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """[B, 3, H, W] -> maps of 4, 8, 16 and 32 times `width` channels, at strides 4, 8, 16 and 32.

    Args:
        width: of the first stage's 3x3 convolutions.
        depths: the number of blocks of each stage.
    """

    def __init__(self, *, width: int = 64, depths: tuple[int, int, int, int] = DEPTHS) -> None:
        super().__init__()
        self.widths = tuple(_EXPANSION * width * 2**stage for stage in range(4))
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, depth=depths[0], stride=1)
        self.layer2 = _stage(self.widths[0], 2 * width, depth=depths[1], stride=2)
        self.layer3 = _stage(self.widths[1], 4 * width, depth=depths[2], stride=2)
        self.layer4 = _stage(self.widths[2], 8 * width, depth=depths[3], stride=2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The maps, from fine to coarse."""
        stem = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        first = self.layer1(stem)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def _stage(in_channels: int, channels: int, *, depth: int, stride: int) -> nn.Sequential:
    later = (Bottleneck(_EXPANSION * channels, channels, stride=1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(in_channels, channels, stride=stride), *later)
