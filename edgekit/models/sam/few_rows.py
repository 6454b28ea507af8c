"""What a head adds to the image, in a number of rows that does not grow with the prompt.

At each position, a head of the image's attention adds

    sum over the tokens t of share_t * (vector_t + bias),  where vector_t = value_t @ weight

The weight has a row per channel of the head, and the bias is one more. So with W = head_dim + 1
channels of values, the last of which is 1, the sum is a product of W numbers with W rows, however
many tokens there are. A prompt of few tokens has T rows, the shares. A longer one has W rows, the
W sums, and then its "values" are the unit vectors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_TOKENS = 128
"""Tokens that a captured decoder takes: 64 points (`program.capture`), and the decoder's own."""


class FewRows(nn.Module):
    """The rows and values of an attention: its shares, or fewer rows for many tokens."""

    unit: Tensor
    beyond: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        width = head_dim + 1
        self.register_buffer("unit", torch.eye(width, MOST_TOKENS))
        self.register_buffer("beyond", (torch.arange(MOST_TOKENS) >= width).float())

    def forward(self, shares: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and values with the same products, for each position.

        Args:
            shares: [B, H, T, K], of each token.
            values: [B, H, T, head_dim].

        Returns:
            rows [B, H, R, K] and values [B, H, R, head_dim + 1], with R = min(T, head_dim + 1).
        """
        values = F.pad(values, (0, 1), value=1.0)
        count, width = values.shape[2:]
        if not isinstance(count, int):
            return self._by_count(shares, values)
        if count <= width:
            return shares, values
        return values.transpose(2, 3) @ shares, self.unit[:, :width].expand(
            *values.shape[:2], -1, -1
        )

    def _by_count(self, shares: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The same for a number of tokens that is known at run time only.

        A graph has no branches, so a factor of 0 or 1 chooses between two small matrices.
        """
        count, width = values.shape[2:]
        unit = self.unit[: torch.sym_min(count, width)]  # type: ignore[no-untyped-call]
        few, square = unit[:, :count], unit[:, :width]  # few is square when all tokens fit
        many = self.beyond[:count].amax(dim=0)
        rows = few * (1 - many) + square @ values.transpose(2, 3) * many
        return rows @ shares, few @ values * (1 - many) + square * many
