"""Turn computed tables (positions, gathered attention biases) into constants.

Left in the graph, they are Gather, Range or Sin chains over constants that TensorRT 8 rejects and
that every run would recompute; MobileSAM's attention bias is gathered with int64 indices.
"""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Bakeable(Protocol):
    """A module that can keep what it would compute from its weights alone."""

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
