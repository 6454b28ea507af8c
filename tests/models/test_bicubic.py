"""Bicubic resizing as two matrix products."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
import torch.nn.functional as F  # noqa: E402

from edgekit.models.encoders.bicubic import BicubicResize  # noqa: E402


@pytest.mark.parametrize(("source", "target"), [(16, 64), (32, 64), (64, 64), (14, 64)])
def test_equals_interpolate(source: int, target: int) -> None:
    x = torch.randn(2, 3, source, source)
    expected = F.interpolate(x, size=(target, target), mode="bicubic")
    assert torch.allclose(BicubicResize(source, target)(x), expected, atol=1e-5)


def test_the_matrix_is_not_in_the_state_dict() -> None:
    assert not BicubicResize(4, 8).state_dict()
