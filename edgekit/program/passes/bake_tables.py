"""Turn computed tables (positions, gathered attention biases) into constants.

In a graph they would be Gather, Range or Sin chains over constants, which TensorRT 8 rejects and
every run would recompute. MobileSAM gathers its attention bias with int64 indices.
"""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Bakeable(Protocol):
    """A module that can store what it computes from its weights alone."""

    def bake(self) -> None:
        """Replace the computation by a constant buffer, in place."""


def bake_tables(module: nn.Module) -> nn.Module:
    """A copy in which every submodule with a `bake()` method has been baked."""
    baked = copy.deepcopy(module)
    with torch.no_grad():
        for part in baked.modules():
            if isinstance(part, Bakeable):
                part.bake()
    return baked
