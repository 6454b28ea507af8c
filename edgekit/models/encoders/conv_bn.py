"""The convolution that TinyViT and RepViT are built of."""

from __future__ import annotations

from torch import Tensor, nn


class ConvBn(nn.Module):
    """Convolution without bias and batch norm, under upstream's names `c` and `bn`."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H / stride, W / stride]."""
        return self.bn(self.c(x))  # type: ignore[no-any-return]
