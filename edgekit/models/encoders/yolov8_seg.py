"""FastSAM's network: YOLOv8-seg with one class.

Sources: Zhao et al., arXiv 2306.12156 (FastSAM); the published files, whose tensor names
(`model.N`) and shapes define the layers; arXiv 2006.04388 (distribution focal loss, for boxes);
arXiv 1904.02689 (YOLACT: prototypes and coefficients, for masks). Boxes, scores, coefficients and
prototypes are separate outputs. Their ranges differ by orders of magnitude, so a joint tensor would
lose them in INT8 (ultralytics/ultralytics#25306).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
COEFFICIENTS = 32
EPSILON = 1e-3  # of every batch norm; ultralytics sets it after building


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloSize:
    """Widths per stage and depths of the backbone's C2f blocks; the neck's have the first depth.

    The distance to a box side is a distribution over `bins` bins (upstream's `reg_max`).
    """

    widths: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int]
    bins: int


# Judged by their sizes, the published small file has 16 bins and the large one 26 (upstream's
# configuration says 16).
SIZES = {
    "s": YoloSize(widths=(32, 64, 128, 256, 512), depths=(1, 2, 2, 1), bins=16),
    "x": YoloSize(widths=(80, 160, 320, 640, 640), depths=(3, 6, 6, 3), bins=26),
}


class Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H / stride, W / stride]."""
        return F.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions; the backbone's have a residual."""

    def __init__(self, channels: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        mixed: Tensor = self.cv2(self.cv1(x))
        return x + mixed if self.residual else mixed


class C2f(nn.Module):
    """Half of the channels pass through bottlenecks in a row; all outputs are concatenated."""

    def __init__(self, in_channels: int, channels: int, *, depth: int, residual: bool) -> None:
        super().__init__()
        half = channels // 2
        self.cv1 = Conv(in_channels, channels)
        self.cv2 = Conv((2 + depth) * half, channels)
        self.m = nn.ModuleList(Bottleneck(half, residual=residual) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, channels, H, W]."""
        parts = list(self.cv1(x).chunk(2, dim=1))
        for bottleneck in self.m:
            parts.append(bottleneck(parts[-1]))
        return self.cv2(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class Sppf(nn.Module):
    """The map and its maxima over 5, 9 and 13 pixels, concatenated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        maps = [self.cv1(x)]
        for _ in range(3):
            maps.append(F.max_pool2d(maps[-1], 5, 1, 2))
        return self.cv2(torch.cat(maps, dim=1))  # type: ignore[no-any-return]


class Bins(nn.Module):
    """The expected bin of a distribution; the weight holds the bins' numbers."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(bins, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 4 * bins, N] logits -> [B, 4, N]."""
        logits = torch.unflatten(x, 1, (4, -1)).transpose(1, 2)
        return self.conv(torch.softmax(logits, dim=1)).squeeze(1)  # type: ignore[no-any-return]


class Prototypes(nn.Module):
    """32 mask prototypes from the finest map, at twice its resolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(in_channels, channels, 3)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.cv2 = Conv(channels, channels, 3)
        self.cv3 = Conv(channels, COEFFICIENTS)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, 32, 2H, 2W]."""
        return self.cv3(self.cv2(self.upsample(self.cv1(x))))  # type: ignore[no-any-return]


def _branch(in_channels: int, channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        Conv(in_channels, channels, 3), Conv(channels, channels, 3), nn.Conv2d(channels, out, 1)
    )


class Head(nn.Module):
    """Boxes, scores and coefficients for each cell of three maps, and the prototypes."""

    def __init__(self, widths: Sequence[int], *, bins: int) -> None:
        super().__init__()
        fine = widths[0]
        box, mask = max(16, fine // 4, 4 * bins), max(COEFFICIENTS, fine // 4)
        self.cv2 = nn.ModuleList(_branch(width, box, 4 * bins) for width in widths)
        self.cv3 = nn.ModuleList(_branch(width, fine, 1) for width in widths)
        self.dfl = Bins(bins)
        self.proto = Prototypes(fine, fine)
        self.cv4 = nn.ModuleList(_branch(width, mask, COEFFICIENTS) for width in widths)

    def forward(
        self, maps: Sequence[Tensor], cells: Tensor, strides: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, scores, coefficients and prototypes, as in `YoloV8Seg`.

        Args:
            maps: strides 8, 16 and 32.
            cells: [2, N], centres of the cells of all maps, x and y in units of their stride.
            strides: [1, N], in pixels.
        """
        sides = self.dfl(_concatenate(self.cv2, maps))
        corners = cells - sides[:, :2], cells + sides[:, 2:]
        centre, size = (corners[0] + corners[1]) / 2, corners[1] - corners[0]
        boxes = torch.cat([centre, size], dim=1) * strides
        scores = torch.sigmoid(_concatenate(self.cv3, maps))
        return boxes, scores, _concatenate(self.cv4, maps), self.proto(maps[0])


def _concatenate(branches: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
    """The branches' outputs [B, channels, N] over the cells of all maps, from fine to coarse."""
    outputs = [branch(x).flatten(2) for branch, x in zip(branches, maps, strict=True)]
    return torch.cat(outputs, dim=2)


class YoloV8Seg(nn.Module):
    """`image` [B, 3, H, W] in 0-1, with sides divisible by 32 -> raw detections and prototypes.

    The results are boxes [B, 4, N] (centre x and y, width, height, in pixels), scores [B, 1, N] in
    0-1, coefficients [B, 32, N] and prototypes [B, 32, H / 4, W / 4].
    """

    def __init__(self, size: YoloSize, *, frame: int = 1024) -> None:
        super().__init__()
        w0, w1, w2, w3, w4 = size.widths
        n0, n1, n2, n3 = size.depths
        self.frame = frame
        self.model = nn.ModuleList(
            (
                Conv(3, w0, 3, 2),
                Conv(w0, w1, 3, 2),
                C2f(w1, w1, depth=n0, residual=True),
                Conv(w1, w2, 3, 2),
                C2f(w2, w2, depth=n1, residual=True),
                Conv(w2, w3, 3, 2),
                C2f(w3, w3, depth=n2, residual=True),
                Conv(w3, w4, 3, 2),
                C2f(w4, w4, depth=n3, residual=True),
                Sppf(w4),
                nn.Identity(),  # upstream numbers upsampling and concatenation as layers too
                nn.Identity(),
                C2f(w4 + w3, w3, depth=n0, residual=False),
                nn.Identity(),
                nn.Identity(),
                C2f(w3 + w2, w2, depth=n0, residual=False),
                Conv(w2, w2, 3, 2),
                nn.Identity(),
                C2f(w2 + w3, w3, depth=n0, residual=False),
                Conv(w3, w3, 3, 2),
                nn.Identity(),
                C2f(w3 + w4, w4, depth=n0, residual=False),
                Head((w2, w3, w4), bins=size.bins),
            )
        )
        self._cells: Tensor | None = None

    def bake(self) -> None:
        """Turn the cells of a square frame into a constant. Call it on a copy, before capture."""
        cells = self.cells(self.frame, self.frame)
        del self._cells
        self.register_buffer("_cells", cells, persistent=False)

    def cells(self, height: int, width: int) -> Tensor:
        """[3, N]: x and y of a cell's centre in units of its stride, and the stride in pixels."""
        if self._cells is not None:
            return self._cells
        tables = []
        for stride in STRIDES:
            y, x = torch.meshgrid(
                torch.arange(height // stride) + 0.5,
                torch.arange(width // stride) + 0.5,
                indexing="ij",
            )
            tables.append(torch.stack([x, y, torch.full_like(x, stride)]).flatten(1))
        return torch.cat(tables, dim=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect all objects."""
        cells = self.cells(image.shape[2], image.shape[3]).to(image.device)
        return self.model[22](self._maps(image), cells[:2], cells[2:])  # type: ignore[no-any-return]

    def _maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The neck's maps at strides 8, 16 and 32."""
        outputs = []
        for layer in self.model[:10]:
            x = layer(x)
            outputs.append(x)
        fine, middle, coarse = outputs[4], outputs[6], outputs[9]
        middle = self.model[12](torch.cat([_upsample_2x(coarse), middle], dim=1))
        fine = self.model[15](torch.cat([_upsample_2x(middle), fine], dim=1))
        middle = self.model[18](torch.cat([self.model[16](fine), middle], dim=1))
        coarse = self.model[21](torch.cat([self.model[19](middle), coarse], dim=1))
        return fine, middle, coarse


def _upsample_2x(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
