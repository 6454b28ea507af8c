"""Equalized channels: the same function, finer codes, nothing where it would not be the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.catalog import target
from edgekit.graph.capture import Program, capture_encoder
from edgekit.precision.coded_walk import coded_walk
from edgekit.precision.equalize import equalized
from edgekit.precision.int8 import plan_int8
from edgekit.precision.ranges import Range, Ranges
from edgekit.precision.walk import Walk
from edgekit.records import FloatArray, Role

FRAME, CHANNELS = 64, 8
IMAGE = {"image": np.random.default_rng(0).normal(size=(1, 3, FRAME, FRAME)).astype(np.float32)}


class Unequal(nn.Module):
    """A residual network whose channels differ by a factor of 40."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.between = between
        sizes = torch.logspace(-0.8, 0.8, CHANNELS)
        with torch.no_grad():
            for layer in (self.stem, self.first, self.second):
                layer.weight *= sizes.view(-1, 1, 1, 1)
                if layer.bias is not None:
                    layer.bias *= sizes
            for layer in (self.first, self.second, self.head):
                layer.weight /= sizes.view(1, -1, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(image)), 2)
        x = F.relu(self.second(self.between(self.first(x))) + x)
        return self.head(x)


def captured(module: nn.Module) -> Program:
    return capture_encoder(module.eval(), frame=FRAME)


@pytest.fixture(scope="module")
def program() -> Program:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return captured(Unequal(nn.ReLU()))


def run(program: Program) -> FloatArray:
    return Walk(program, lambda _, result: result).run(IMAGE)["image_embeddings"]


def ranges(program: Program) -> Ranges:
    found: dict[str, Range] = {}

    def keep(node: torch.fx.Node, result: Tensor) -> Tensor:
        low, high = (float(edge) for edge in result.aminmax())
        std = float(result.std())
        found[node.name] = Range(
            low=low, high=high, mean=0.0, std=std, limit=1.0, histogram=np.zeros(1)
        )
        return result

    Walk(program, keep).run(IMAGE)
    return Ranges(role=Role.ENCODER, by_name=found)


def coded_error(program: Program) -> float:
    recipe = target("x86-ort-int8").int8
    assert recipe
    plan = plan_int8(program, ranges(program), recipe)
    exact = run(program)
    coded = coded_walk(program, plan).run(IMAGE)["image_embeddings"]
    return float(np.linalg.norm(coded - exact) / np.linalg.norm(exact))


def weights(program: Program) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in program.exported.state_dict.items()}


def changed(program: Program) -> set[str]:
    before, after = weights(program), weights(equalized(program))
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_function_stays(program: Program) -> None:
    exact = run(program)
    np.testing.assert_allclose(run(equalized(program)), exact, atol=1e-5 * np.abs(exact).max())


def test_codes_become_finer(program: Program) -> None:
    assert coded_error(equalized(program)) < 0.5 * coded_error(program)


def test_largest_weight_of_each_channel_that_is_read_is_the_same(program: Program) -> None:
    read = weights(equalized(program))["second.weight"].abs().amax((0, 2, 3))
    assert read.max() / read.min() < 1.001


def test_original_is_left_as_it_was(program: Program) -> None:
    before = weights(program)
    equalized(program)
    assert all(torch.equal(before[name], now) for name, now in weights(program).items())


def test_outputs_and_inputs_keep_their_scale(program: Program) -> None:
    stem = weights(program)["stem.weight"] / weights(equalized(program))["stem.weight"]
    assert torch.allclose(stem, stem[:, :1, :1, :1].expand_as(stem)), "one factor for a row"
    assert "head.bias" not in changed(program)


def test_gelu_separates() -> None:
    """Its neighbours are scaled on the other side only."""
    assert changed(captured(Unequal(nn.GELU()))) == {
        "stem.weight",
        "stem.bias",
        "second.weight",
        "second.bias",
        "first.weight",
        "head.weight",
    }
    gelu = captured(Unequal(nn.GELU()))
    first = weights(equalized(gelu))["first.weight"] / weights(gelu)["first.weight"]
    assert torch.allclose(first, first[:1].expand_as(first)), "columns, not rows"


class Shared(nn.Module):
    """One convolution that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 16, 16)
        self.twice = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.twice(F.relu(self.twice(F.relu(self.stem(image)))))


class Depthwise(nn.Module):
    """Channels that are read one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 16, 16)
        self.each = nn.Conv2d(CHANNELS, CHANNELS, 1, groups=CHANNELS)

    def forward(self, image: Tensor) -> Tensor:
        return self.each(F.relu(self.stem(image)))


@pytest.mark.parametrize("module", [Shared, Depthwise])
def test_what_cannot_be_scaled_is_left(module: type[nn.Module]) -> None:
    program = captured(module())
    assert equalized(program) is program
