"""Samples at computed places (`grid_sample`) as rows that are gathered: LiteRT has no operator.

torch's own decomposition gathers number by number, with an index of four integers for each. Here a
pixel is a row of all its channels, which are copied at once, and channels come last, as LiteRT lays
out its maps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BEFORE, _AFTER = 1, 2
"""Zeros around the map, so that what is outside is zero and every place has four pixels."""

_SUPPORTED = (0, 0, False)
"""Bilinear, zeros outside, -1 and 1 at the map's edges."""


def sampled_rows(x: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """aten's `grid_sampler` in operators that LiteRT has, for one of its modes.

    Args:
        x: [N, C, H, W].
        grid: [N, h, w, 2], x and y from -1 to 1.
        mode, padding, align_corners: bilinear, zeros outside, false.

    Returns:
        [N, C, h, w]; NotImplemented in another mode.
    """
    if (mode, padding, align_corners) != _SUPPORTED:
        return NotImplemented  # type: ignore[no-any-return]
    channels, height, width = x.shape[1:]
    around = F.pad(x, (_BEFORE, _AFTER, _BEFORE, _AFTER)).permute(0, 2, 3, 1)
    tall, wide = around.shape[1:3]
    across, down = _pixels(grid[..., 0], width), _pixels(grid[..., 1], height)
    left, top = across.floor(), down.floor()
    starts = torch.arange(len(x), dtype=torch.int32).reshape(-1, 1, 1) * (tall * wide)
    first = top.to(torch.int32) * wide + left.to(torch.int32) + starts
    right, lower = across - left, down - top
    corners = (
        (0, (1 - lower) * (1 - right)),
        (1, (1 - lower) * right),
        (wide, lower * (1 - right)),
        (wide + 1, lower * right),
    )
    rows = around.reshape(-1, channels)
    total = sum(rows[(first + step).flatten()] * share.reshape(-1, 1) for step, share in corners)
    assert isinstance(total, Tensor)
    return total.reshape(*grid.shape[:3], channels).permute(0, 3, 1, 2)


def _pixels(places: Tensor, size: int) -> Tensor:
    """From -1..1 to pixels of the map with its zeros; what lies further outside is on a zero."""
    return (((places + 1) * size - 1) / 2 + _BEFORE).clamp(0, size + _BEFORE)
