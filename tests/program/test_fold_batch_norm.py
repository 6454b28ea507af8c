"""Folding keeps the results, and folds exactly the batch norms that may be folded."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from edgekit.program.passes.fold_batch_norm import fold_batch_norm

CHANNELS = 4


def _settled(module: nn.Module) -> nn.Module:
    """Random statistics and weights, so that a norm skipped or folded twice changes the result."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                assert tensor is not None
                tensor.data.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def _conv() -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)


def _transposed(*, groups: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, stride=2, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm2d(CHANNELS))


class Branching(nn.Module):
    """The output of the convolution is used twice, with and without the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = _conv(), nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Repeated(nn.Module):
    """One convolution runs twice, only once before the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = _conv(), nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(torch.relu(self.conv(x))))


class Unordered(nn.Module):
    """Submodules registered in another order than they run in, under nested names."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(CHANNELS) for _ in range(2)])
        self.convs = nn.ModuleDict({"b": _conv(), "a": nn.Conv2d(CHANNELS, CHANNELS, 1)})

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[0](self.convs["b"](torch.relu(self.norms[1](self.convs["a"](x)))))


CASES = {
    "sequential": (lambda: nn.Sequential(_conv(), nn.BatchNorm2d(CHANNELS), nn.ReLU()), 0),
    "grouped": (
        lambda: nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS), nn.BatchNorm2d(CHANNELS)
        ),
        0,
    ),
    "transposed": (lambda: _transposed(groups=1), 0),
    "transposed, grouped": (lambda: _transposed(groups=2), 1),
    "unordered": (Unordered, 0),
    "relu between": (lambda: nn.Sequential(_conv(), nn.ReLU(), nn.BatchNorm2d(CHANNELS)), 1),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm2d(CHANNELS), _conv()), 1),
    "branching": (Branching, 1),
    "repeated": (Repeated, 1),
}


@pytest.mark.parametrize(("build", "left"), CASES.values(), ids=CASES)
def test_folding_keeps_the_numbers(build, left: int) -> None:
    module = _settled(build())
    before = copy.deepcopy(module.state_dict())
    x = torch.randn(1, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(1))

    folded = fold_batch_norm(module, (x,))

    assert sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules()) == left
    with torch.no_grad():
        expected, got = module(x), folded(x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)


def test_folded_weights_are_plain_parameters() -> None:
    """The exporter rejects a weight with autograd history ("non-leaf Tensor")."""
    folded = fold_batch_norm(
        _settled(nn.Sequential(_conv(), nn.BatchNorm2d(CHANNELS))),
        (torch.zeros(1, CHANNELS, 8, 8),),
    )
    assert [type(p) for p in folded.parameters()] == [nn.Parameter, nn.Parameter]
    assert all(p.is_leaf for p in folded.parameters())


def test_a_module_in_training_mode_is_folded_as_in_eval() -> None:
    module = _settled(nn.Sequential(_conv(), nn.BatchNorm2d(CHANNELS))).train()
    folded = fold_batch_norm(module, (torch.zeros(1, CHANNELS, 8, 8),))
    assert module.training
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
