"""BF16 for all that is not measured in pixels, and for the decoder if its masks pass.

BF16 has the range of FP32, so nothing overflows and no ranges are needed, but only 8 bits of
mantissa. Between 512 and 1024 pixels its steps are 4 pixels, and the phases of a position encoding
move with them. So a sine, a cosine, and all that its phase is computed from stay FP32.

Mask IoU of NanoSAM with PyTorch, mean and 5th percentile, rounded in PyTorch after each node
(3 photos, 30 prompts; runtimes fuse nodes and round less often):

    the encoder in BF16                              0.997 0.992
    both                                             0.980 0.943
    both, coordinates and phases in FP32             0.992 0.984
    only coordinates and phases in BF16              0.981 0.944

Of the other parts, none costs more than 0.005 alone: the two layer norms of the image 0.004 each,
tokens and products 0.001 to 0.002. FP32 would slow all of them down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import fx

from edgekit.precision.decide.plan import Decision, make_part
from edgekit.program.capture import Program
from edgekit.program.operators import aten, floating_inputs
from edgekit.records import PartPlan, Precision
from edgekit.verification import Verdict

JudgeParts = Callable[[tuple[PartPlan, ...]], Verdict]
"""Runs the programs under a plan and compares masks with the reference."""

_PHASE = "8 bits of mantissa would move a point by pixels"
_WAVES = frozenset({aten.sin.default, aten.cos.default})


def plan_bf16(programs: Sequence[Program], judge: JudgeParts) -> tuple[PartPlan, ...]:
    """The plans of a model's programs; the decoder stays FP32 if its masks miss the gate in BF16.

    Args:
        programs: those of one model.
        judge: called once; not at all for a model without a decoder.
    """
    parts = tuple(make_part(program, _in_bf16(program)) for program in programs)
    _, *decoders = programs
    if not decoders or (verdict := judge(parts)).passed:
        return parts
    reason = f"masks miss the gate in BF16: {'; '.join(verdict.failures)}"
    in_float = (make_part(each, lambda _: (Precision.FP32, reason)) for each in decoders)
    return (parts[0], *in_float)


def _in_bf16(program: Program) -> Callable[[fx.Node], Decision]:
    exact = _behind_waves(program)
    return lambda node: (Precision.FP32, _PHASE) if node in exact else (Precision.BF16, None)


def _behind_waves(program: Program) -> set[fx.Node]:
    """All sines and cosines, and the nodes that their phases are computed from."""
    pending = [node for node in program.exported.graph.nodes if node.target in _WAVES]
    found = set[fx.Node]()
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += floating_inputs(node)
    return found
