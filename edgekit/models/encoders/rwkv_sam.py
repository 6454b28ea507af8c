"""RWKV-SAM's encoder graph: ViTamin's convolutions, RWKV blocks, SAM's neck.

Sources: Yuan et al., arXiv 2406.19369; Chen et al., arXiv 2404.02132 (ViTamin); HarborYuan/ovsam,
whose tensor names are kept. Upstream's mask decoder projects two maps of the convolutions again for
every prompt. They depend on the photo only, so this graph does it once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.encoders.layers import sam_neck
from edgekit.models.encoders.rwkv import RwkvBlock
from edgekit.models.sam.layers import LayerNorm2d

STAGES = ((64, 2), (128, 4))  # width and depth
WIDTH, DEPTH = 384, 14


class Stem(nn.Module):
    """Half the resolution: [B, 3, H, W] -> [B, C, H / 2, W / 2]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.norm1 = LayerNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Embed the photo."""
        return self.conv2(F.gelu(self.norm1(self.conv1(image))))  # type: ignore[no-any-return]


class PooledShortcut(nn.Module):
    """Half the resolution, the mean of 3x3 pixels or of those inside the map; then the new width.

    Zeros are added at the top and the left, where a mean is then of two rows or columns but divided
    by three. That is put right afterwards, since litert-torch 0.10 cannot convert a pool that pads
    and leaves the padding out of its count.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        same = in_channels == channels
        self.expand = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, C, H / 2, W / 2], for even sides."""
        pooled = F.avg_pool2d(F.pad(x, (1, 0, 1, 0)), 3, stride=2)
        for axis in (2, 3):
            first, others = torch.split(pooled, [1, pooled.shape[axis] - 1], dim=axis)
            pooled = torch.cat([first * 1.5, others], dim=axis)
        return self.expand(pooled)  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """An inverted residual of four times the width, normalised at the start only."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.shortcut = nn.Identity() if stride == 1 else PooledShortcut(in_channels, channels)
        self.pre_norm = LayerNorm2d(in_channels)
        self.conv1_1x1 = nn.Conv2d(in_channels, hidden, 1)
        self.conv2_kxk = nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden)
        self.conv3_1x1 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, C, H / stride, W / stride]."""
        hidden = F.gelu(self.conv1_1x1(self.pre_norm(x)))
        residual = self.conv3_1x1(F.gelu(self.conv2_kxk(hidden)))
        return self.shortcut(x) + residual  # type: ignore[no-any-return]


def _stage(in_channels: int, channels: int, depth: int) -> nn.Sequential:
    """[B, in, H, W] -> [B, C, H / 2, W / 2]."""
    others = (ConvBlock(channels, channels, stride=1) for _ in range(depth - 1))
    return nn.Sequential(ConvBlock(in_channels, channels, stride=2), *others)


class FinalPool(nn.Module):
    """From the convolutions to the blocks: [B, in, H, W] -> [B, C, H / 2, W / 2]."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(in_channels)
        self.proj = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and project."""
        return self.proj(self.norm(x))  # type: ignore[no-any-return]


class Backbone(nn.Module):
    """`image` [B, 3, 16 * grid, 16 * grid] -> maps of 64, 128 and 384 channels.

    They are at strides 4, 8 and 16.
    """

    def __init__(self, *, grid: int) -> None:
        super().__init__()
        (fine, fine_depth), (middle, middle_depth) = STAGES
        self.stem = Stem(fine)
        self.conv_stages = nn.ModuleList(
            [_stage(fine, fine, fine_depth), _stage(fine, middle, middle_depth)]
        )
        self.conv_final_pool = FinalPool(middle, WIDTH)
        self.layers = nn.Sequential(*(RwkvBlock(WIDTH, tokens=grid**2) for _ in range(DEPTH)))
        self.final_norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of both stages and of the last block."""
        fine = self.conv_stages[0](self.stem(image))
        middle = self.conv_stages[1](fine)
        coarse = self.conv_final_pool(middle).permute(0, 2, 3, 1)
        coarse = self.final_norm(self.layers(coarse))
        return fine, middle, coarse.permute(0, 3, 1, 2)


class Neck(nn.Module):
    """SAM's neck under upstream's name."""

    def __init__(self) -> None:
        super().__init__()
        self.out_proj = sam_neck(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 384, H, W] -> [B, 256, H, W]."""
        return self.out_proj(x)  # type: ignore[no-any-return]


class PhotoFeatures(nn.Module):
    """The mask decoder's layers that depend on the photo only, under upstream's names."""

    def __init__(self) -> None:
        super().__init__()
        (fine, _), (middle, _) = STAGES
        self.hr_feat_proj = _projection(nn.Conv2d(fine, 64, 3, padding=1))
        self.mr_feat_proj = _projection(nn.ConvTranspose2d(middle, 64, 2, stride=2))

    def forward(self, fine: Tensor, middle: Tensor) -> Tensor:
        """[B, 64, 4H, 4W] and [B, 128, 2H, 2W] -> [B, 64, 4H, 4W], half of it from each.

        The half from the middle map comes first.
        """
        return torch.cat([self.mr_feat_proj(middle), self.hr_feat_proj(fine)], dim=1)


def _projection(first: nn.Module) -> nn.Sequential:
    return nn.Sequential(first, LayerNorm2d(64), nn.GELU(), nn.Conv2d(64, 32, 3, padding=1))


class RwkvSamEncoder(nn.Module):
    """`image` -> `image_embeddings` [B, 256, 64, 64], `high_res_features` [B, 64, 256, 256]."""

    def __init__(self, *, grid: int = 64) -> None:
        super().__init__()
        self.backbone = Backbone(grid=grid)
        self.neck = Neck()
        self.mask_decoder = PhotoFeatures()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embed a normalised, padded photo."""
        fine, middle, coarse = self.backbone(image)
        return self.neck(coarse), self.mask_decoder(fine, middle)
