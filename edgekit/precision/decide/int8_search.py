"""Return blocks to float until the masks pass the gate, those first that gain most for their work.

The sensitivity of a block is the mean mask IoU gained when that block alone is float, per MAC that
is then not INT8. One judgement per block ranks them. They then return to float in that order, one
more at a time, until the verdict passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.errors import GraphRejected
from edgekit.records import NodePlan, PartPlan, Precision
from edgekit.verification import Verdict

FloatNodes = dict[str, str]
"""Nodes that a search has returned to float: name -> reason."""

JudgeFloatNodes = Callable[[FloatNodes], Verdict]
"""Runs the plan with these nodes in float and compares masks with the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The mean mask IoU that a block gains in float, and its MACs per run."""

    block: str
    nodes: tuple[str, ...]
    gain: float
    macs: int


def return_blocks_to_float(part: PartPlan, judge: JudgeFloatNodes) -> FloatNodes:
    """The fewest blocks, in order of sensitivity, that must be float for the verdict to pass.

    Args:
        part: the plan by the recipe.
        judge: called once per block, and once per block returned.

    Raises:
        GraphRejected: the gate fails with every block in float.
    """
    verdict = judge({})
    if verdict.passed:
        return {}
    in_float: FloatNodes = {}
    for sensitivity in _ranked(part, judge, _mean_iou(verdict)):
        reason = f"search: {sensitivity.gain:+.3f} IoU"
        in_float |= dict.fromkeys(sensitivity.nodes, reason)
        verdict = judge(in_float)
        if verdict.passed:
            return in_float
    raise GraphRejected(
        f"No INT8 plan meets the gate: {'; '.join(verdict.failures)} with every block in float.",
        expected="a model whose float program gives the reference's masks",
        next_step="edgekit export the same model for the fp32 target",
    )


def _ranked(part: PartPlan, judge: JudgeFloatNodes, mean_iou: float) -> list[Sensitivity]:
    """All coded blocks, the largest gain per MAC first."""
    ranked = []
    for block, lines in _coded_blocks(part).items():
        nodes = tuple(line.node for line in lines)
        gain = _mean_iou(judge(dict.fromkeys(nodes, ""))) - mean_iou
        macs = sum(line.macs for line in lines)
        ranked.append(Sensitivity(block=block, nodes=nodes, gain=gain, macs=macs))
    return sorted(ranked, key=lambda each: each.gain / max(each.macs, 1), reverse=True)


def _coded_blocks(part: PartPlan) -> dict[str, list[NodePlan]]:
    blocks: dict[str, list[NodePlan]] = {}
    for line in part.nodes:
        if line.precision is Precision.INT8:
            blocks.setdefault(line.block, []).append(line)
    return blocks


def _mean_iou(verdict: Verdict) -> float:
    return verdict.overall.mean_iou if verdict.overall else 0.0
