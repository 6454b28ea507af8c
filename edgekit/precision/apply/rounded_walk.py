"""Run a program with casts as FP16 hardware would, on any CPU: for the search, not for verdicts.

Arithmetic in float32, every FP16 result rounded to FP16, infinity where it overflows. PyTorch's own
FP16 on the CPU is slow (toolchain notes: a convolution did not finish).
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.program.capture import Program
from edgekit.program.walk import Walk
from edgekit.records import Session


def emulated_session(program: Program) -> Session:
    """A session over a program that `casts.apply_casts` made."""
    return Walk(program, _rounded)


def _rounded(node: fx.Node, result: Tensor) -> Tensor:
    value = node.meta["val"]
    if value.dtype is torch.float16:
        # A cast gives a float16 tensor here, all others a float32 one.
        return result.half().float()
    return result
