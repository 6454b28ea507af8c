"""A deformable convolution in operators that edge runtimes have.

Sources: Dai et al., arXiv 1703.06211; Zhu et al., arXiv 1811.11168 (the modulated form). ONNX has
an operator for it since opset 19; Core ML and LiteRT have none. All that is special about it is
where a tap reads the map, and a bilinear sample is linear in the map. So the taps' weights are
applied first, as one 1x1 convolution, and its results are sampled: a GridSample in ONNX, a
`resample` in Core ML. In this order, as many numbers are sampled as there are output channels; in
the other, as there are input channels, which are twice as many in RAP-SAM's neck.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 9
"""The taps of a 3x3 kernel, row by row."""


class DeformableConv2d(nn.Module):
    """A modulated deformable 3x3 convolution of stride 1, padding 1, without a bias.

    Args:
        in_channels: of the map.
        channels: of the result.
        side: of the square map, in pixels.
    """

    places: Tensor

    def __init__(self, in_channels: int, channels: int, *, side: int) -> None:
        super().__init__()
        self.channels, self.side = channels, side
        self.weight = nn.Parameter(torch.zeros(channels, in_channels, 3, 3))
        self.register_buffer("places", _regular_places(side), persistent=False)
        self.pointwise: nn.Conv2d | None = None

    def forward(self, x: Tensor, offsets: Tensor, modulation: Tensor) -> Tensor:
        """Convolve a map with moved and weighted taps.

        Args:
            x: [B, in, side, side].
            offsets: [B, 18, side, side]: for each tap, by how many pixels it is moved down, then
                to the right. Outside the map there are zeros.
            modulation: [B, 9, side, side]: by what each tap is multiplied.

        Returns:
            [B, channels, side, side].
        """
        batch, side = x.shape[0], self.side
        taps = self.taps(x).reshape(batch * TAPS, self.channels, side, side)
        moved = self._moved_places(offsets.reshape(batch * TAPS, 2, side, side))
        sampled = F.grid_sample(taps, moved, align_corners=False)
        weighted = sampled * modulation.reshape(batch * TAPS, 1, side, side)
        summed = weighted.reshape(batch, TAPS, self.channels, side * side).sum(dim=1)
        return summed.reshape(batch, self.channels, side, side)

    def taps(self, x: Tensor) -> Tensor:
        """[B, in, side, side] -> [B, 9 * channels, side, side]: each tap's product, tap by tap."""
        if self.pointwise is not None:
            return self.pointwise(x)  # type: ignore[no-any-return]
        return F.conv2d(x, self._pointwise_weight())

    def _pointwise_weight(self) -> Tensor:
        """[9 * channels, in, 1, 1]."""
        return self.weight.permute(2, 3, 0, 1).flatten(0, 2)[:, :, None, None]

    def _moved_places(self, offsets: Tensor) -> Tensor:
        """[B * 9, 2, side, side], pixels down and right -> [B * 9, side, side, 2], x and y."""
        down, right = offsets.chunk(2, dim=1)
        moves = torch.cat([right, down], dim=1).permute(0, 2, 3, 1) * (2 / self.side)
        batch = offsets.shape[0] // TAPS
        return moves + (self.places if batch == 1 else self.places.repeat(batch, 1, 1, 1))

    def bake(self) -> None:
        """Make the taps a layer of their own. Call it on a copy, before capture."""
        weight = self._pointwise_weight().contiguous()
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False).to(weight)
        layer.weight = nn.Parameter(weight)
        self.pointwise = layer


def _regular_places(side: int) -> Tensor:
    """[9, side, side, 2]: x and y of each tap that is not moved; the map's edges are -1 and 1."""
    centres = torch.arange(side, dtype=torch.float64)
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1)
    steps = [(column, row) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    moved = torch.stack([pixels + torch.tensor(step, dtype=torch.float64) for step in steps])
    return ((2 * moved + 1) / side - 1).float()
