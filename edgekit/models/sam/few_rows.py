"""What a head adds to the image, in a number of rows that stops growing with the prompt.

At each position, a head of the image's attention adds

    sum over the tokens t of share_t * (value_t @ weight + bias)

The weight has a row per channel of the head, and the bias is one more. So with W = head_dim + 1
channels of values, the last of which is 1, the sum is a product of W numbers with W rows, however
many tokens there are. A prompt of up to W tokens has a row for each, the shares. A longer one has W
rows, the W sums, and in place of the values the unit vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST = 128
"""More points than a captured decoder takes (`program.capture`)."""


class Unit(NamedTuple):
    """The unit matrix for a prompt of T tokens and R = min(T, W) rows, in one of two places.

    A graph has no branches, so the other place holds zeros.
    """

    few: Tensor
    """[R, T], the unit matrix if T <= W."""
    many: Tensor
    """[R, W], the unit matrix if T > W."""


class FewRows(nn.Module):
    """The rows and values of an attention: its shares, or fewer rows for many tokens."""

    unit: Tensor
    beyond: Tensor

    def __init__(self, head_dim: int, own: int) -> None:
        """`own` is the number of tokens that a prompt of no points has."""
        super().__init__()
        self.width, self.own = head_dim + 1, own
        self.register_buffer("unit", torch.eye(self.width, own + _MOST))
        beyond = torch.arange(_MOST) + own >= self.width
        self.register_buffer("beyond", beyond.float())

    def for_points(self, points: int) -> Unit:
        """What `forward` needs for a number of points.

        A graph of fixed shapes has the same nodes, so that one precision plan fits both.
        """
        # In sizes that a graph has without arithmetic, which TensorRT 8 lacks for integers.
        most = torch.sym_min(points, self.width - self.own)  # type: ignore[no-untyped-call]
        unit = torch.cat([self.unit[: self.own], self.unit[self.own :][:most]])
        few = torch.cat([unit[:, : self.own], unit[:, self.own :][:, :points]], dim=1)
        many = self.beyond[:points].amax(dim=0)
        return Unit(few * (1 - many), unit[:, : self.width] * many)

    def forward(self, shares: Tensor, values: Tensor, unit: Unit) -> tuple[Tensor, Tensor]:
        """Rows and values with the same products, for each position.

        Args:
            shares: [B, H, T, K], of each token.
            values: [B, H, T, head_dim].
            unit: `for_points` of the prompt.

        Returns:
            rows [B, H, R, K] and values [B, H, R, W].
        """
        values = F.pad(values, (0, 1), value=1.0)
        rows = unit.few + unit.many @ values.transpose(2, 3)
        return rows @ shares, unit.few @ values + unit.many
