"""Baking turns a gathered table into a constant of the copy and leaves the original alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.program.passes.bake_tables import bake_tables


class Biased(nn.Module):
    """Adds a table gathered from a parameter, as TinyViT's attention does."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(4.0))
        self.register_buffer("index", torch.tensor([3, 1, 1, 0]), persistent=False)
        self._bias: Tensor | None = None

    def bake(self) -> None:
        gathered = self.table[self.index].detach()
        del self._bias
        self.register_buffer("_bias", gathered, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.table[self.index] if self._bias is None else self._bias)


def _gathers(module: nn.Module) -> bool:
    program = torch.export.export(module, (torch.zeros(4),))
    return any(
        "index" in str(node.target) for node in program.graph.nodes if node.op == "call_function"
    )


def test_baking_reaches_nested_modules_and_spares_the_original() -> None:
    module = nn.Sequential(nn.Identity(), nn.ModuleDict({"deep": Biased()})["deep"])
    x = torch.randn(4)

    baked = bake_tables(module)

    assert _gathers(module)
    assert not _gathers(baked)
    assert torch.equal(baked(x), module(x))
    with torch.no_grad():  # weights loaded later still count in the original
        module[1].table.add_(1)
    assert not torch.equal(baked(x), module(x))
