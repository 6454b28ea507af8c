"""Run a program with casts as FP16 hardware would, on any CPU: for the search, not for verdicts.

Arithmetic is float32. Every FP16 result is rounded to FP16 and becomes infinite on overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.program.capture import Program
from edgekit.program.walk import Walk


def rounded_walk(program: Program) -> Walk:
    """A session over a program that `casts.apply_casts` made."""
    return Walk(program, _rounded)


def _rounded(node: fx.Node, result: Tensor) -> Tensor:
    # Not in torch's own FP16: on the CPU (torch 2.13) a convolution in it did not finish.
    if node.meta["val"].dtype is torch.float16:
        # The result is float16 if the node is a cast, and float32 otherwise.
        return result.half().float()
    return result
