"""The deformable convolution against a plain one, which reads every tap of every pixel by hand."""

from __future__ import annotations

import copy
import math

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from edgekit.models.encoders.deformable import DeformableConv2d  # noqa: E402

SIDE, IN, OUT, BATCH = 5, 3, 2, 2


@pytest.fixture
def layer() -> DeformableConv2d:
    torch.manual_seed(0)
    layer = DeformableConv2d(IN, OUT, side=SIDE).eval()
    layer.weight.data.normal_()
    return layer


def bilinear(channel: Tensor, y: float, x: float) -> float:
    """A sample between four pixels; those outside the map are 0."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < SIDE and 0 <= column < SIDE:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * float(channel[row, column])
    return total


def at_pixel(
    weight: Tensor, x: Tensor, offsets: Tensor, modulation: Tensor, *, row: int, column: int
) -> Tensor:
    """[OUT]: one pixel of the result, for x [IN, SIDE, SIDE]."""
    total = torch.zeros(OUT)
    for tap in range(9):
        down, right = (float(offsets[2 * tap + axis, row, column]) for axis in (0, 1))
        y, across = row + tap // 3 - 1 + down, column + tap % 3 - 1 + right
        values = torch.tensor([bilinear(channel, y, across) for channel in x])
        kernel = weight[:, :, tap // 3, tap % 3]
        total += kernel @ values * modulation[tap, row, column]
    return total


@pytest.mark.parametrize("reach", [0.3, 2.0, 20.0])
def test_taps_are_moved_and_weighted(layer: DeformableConv2d, reach: float) -> None:
    x, modulation = torch.randn(BATCH, IN, SIDE, SIDE), torch.rand(BATCH, 9, SIDE, SIDE)
    offsets = torch.randn(BATCH, 18, SIDE, SIDE) * reach
    with torch.no_grad():
        result = layer(x, offsets, modulation)
    for index in range(BATCH):
        given = (layer.weight.detach(), x[index], offsets[index], modulation[index])
        expected = [
            [at_pixel(*given, row=row, column=column) for column in range(SIDE)]
            for row in range(SIDE)
        ]
        plain = torch.stack([torch.stack(each) for each in expected]).permute(2, 0, 1)
        torch.testing.assert_close(result[index], plain, atol=2e-5, rtol=1e-5)


def test_taps_that_stay_give_an_ordinary_convolution(layer: DeformableConv2d) -> None:
    x, offsets = torch.randn(1, IN, SIDE, SIDE), torch.zeros(1, 18, SIDE, SIDE)
    with torch.no_grad():
        result = layer(x, offsets, torch.ones(1, 9, SIDE, SIDE))
        expected = F.conv2d(x, layer.weight, padding=1)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_baking_changes_nothing_and_leaves_no_work_on_weights(layer: DeformableConv2d) -> None:
    inputs = (
        torch.randn(1, IN, SIDE, SIDE),
        torch.randn(1, 18, SIDE, SIDE),
        torch.rand(1, 9, SIDE, SIDE),
    )
    baked = copy.deepcopy(layer)
    with torch.no_grad():
        baked.bake()
        torch.testing.assert_close(baked(*inputs), layer(*inputs))
    program = torch.export.export(baked, inputs, strict=False)
    convolution = next(node for node in program.graph.nodes if "conv2d" in str(node.target))
    assert convolution.args[1].op == "placeholder"
