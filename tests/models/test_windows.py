"""Window partition by two permutes of rank 4 equals the textbook's permute of rank 6."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from edgekit.models.encoders.windows import from_windows, to_windows


def textbook(x: torch.Tensor, side: int) -> torch.Tensor:
    height, width, dim = x.shape[1:]
    x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    x = x.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side * side, dim)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (6, 9)], ids=["whole", "padded"])
def test_windows_equal_the_textbooks_and_are_reversible(height: int, width: int) -> None:
    x = torch.randn(2, height, width, 3)
    windows = to_windows(x, 4)
    assert torch.equal(windows, textbook(x, 4))
    assert torch.equal(from_windows(windows, 4, (height, width)), x)
