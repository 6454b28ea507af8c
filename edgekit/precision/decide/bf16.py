"""BF16 for all that is not measured in pixels, and for the decoder if its masks pass.

BF16 has the range of FP32, so nothing overflows and no ranges are needed, but only 8 bits of
mantissa. Between 512 and 1024 pixels its steps are 4 pixels, and the phases of a position encoding
move with them. So a sine, a cosine, and all that its phase is computed from stay FP32.

Mask IoU of NanoSAM with PyTorch, mean and 5th percentile, rounded in PyTorch after each node
(3 photos, 30 prompts; `tests/benchmarks/bench_bf16.py` makes such a table of 2; runtimes fuse nodes
and round less often):

    the encoder in BF16                              0.997 0.992
    both                                             0.980 0.943
    both, coordinates and phases in FP32             0.992 0.984
    only coordinates and phases in BF16              0.981 0.944

The third line natively, in OpenVINO 2026.4 on a CPU with BF16 (8 photos, 72 prompts): 0.992 0.977.
Fifty prompts then take 0.60 times as long as in FP32 (`edgekit verify`, `edgekit bench`).
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
    """The plans of a model's programs, the encoder first."""
    return with_bf16_decoder(part_in_bf16(programs[0]), programs[1:], judge)


def with_bf16_decoder(
    encoder: PartPlan, decoders: Sequence[Program], judge: JudgeParts
) -> tuple[PartPlan, ...]:
    """The plan of an encoder, and that of its decoder: BF16, or FP32 if its masks miss the gate.

    Args:
        encoder: the plan that the decoder is judged with.
        decoders: of the same model, none or one.
        judge: called once; not at all without a decoder.
    """
    parts = (encoder, *map(part_in_bf16, decoders))
    if not decoders or (verdict := judge(parts)).passed:
        return parts
    reason = f"masks miss the gate in BF16: {'; '.join(verdict.failures)}"
    return (encoder, *(make_part(each, lambda _: (Precision.FP32, reason)) for each in decoders))


def part_in_bf16(program: Program) -> PartPlan:
    """The plan of one program: BF16, but for what positions are computed from."""
    exact = _behind_waves(program)

    def decide(node: fx.Node) -> Decision:
        return (Precision.FP32, _PHASE) if node in exact else (Precision.BF16, None)

    return make_part(program, decide)


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
