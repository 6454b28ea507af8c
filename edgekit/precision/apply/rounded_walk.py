"""Run a program with casts as FP16 or BF16 hardware would, on any CPU: for plans, not for verdicts.

Arithmetic is float32. Every FP16 result is rounded to FP16 and becomes infinite on overflow; so is
every BF16 result, without the overflow. Runtimes fuse operators and round less often.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.program.capture import Program
from edgekit.program.walk import Walk

_HALVES = frozenset({torch.float16, torch.bfloat16})


def rounded_walk(program: Program) -> Walk:
    """A session over a program that `casts.apply_casts` made."""
    return Walk(program, _rounded)


def _rounded(node: fx.Node, result: Tensor) -> Tensor:
    # Not in torch's own FP16: on the CPU (torch 2.13) a convolution in it did not finish.
    dtype = node.meta["val"].dtype
    if dtype in _HALVES:
        # The result has 16 bits if the node is a cast, and is float32 otherwise.
        return result.to(dtype).float()
    return result
