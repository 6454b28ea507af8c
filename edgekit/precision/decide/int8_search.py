"""Move blocks back to float until the gate holds: first those that give most IoU for their work.

Sensitivity of a block is the mean mask IoU gained when it alone stays float, per MAC that is then
not INT8. One judgement for each block ranks them; then they are moved back in that order, together,
until the verdict passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.errors import GraphRejected
from edgekit.records import NodePlan, PartPlan, Precision
from edgekit.verification import Verdict

Returned = dict[str, str]
"""Nodes that are moved back to float: name -> reason."""

Judge = Callable[[Returned], Verdict]
"""Runs the plan with these nodes in float and compares masks with the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What a block's return to float gains, and what it costs."""

    block: str
    nodes: tuple[str, ...]
    gain: float
    macs: int


def relax(part: PartPlan, judge: Judge) -> Returned:
    """The fewest blocks, by sensitivity, whose return to float makes the verdict pass.

    Args:
        part: the plan by the recipe.
        judge: see `Judge`; called once per block and once per block moved back.

    Raises:
        GraphRejected: the gate fails with every block in float.
    """
    verdict = judge({})
    if verdict.passed:
        return {}
    ranked = _ranked(part, judge, _score(verdict))
    returned: Returned = {}
    for found in ranked:
        returned |= dict.fromkeys(found.nodes, f"search: {found.gain:+.3f} IoU")
        verdict = judge(returned)
        if verdict.passed:
            return returned
    raise GraphRejected(
        f"No INT8 plan meets the gate: {'; '.join(verdict.failures)} with every block in float.",
        expected="a model whose float program gives the reference's masks",
        next_step="edgekit export the same model for the fp32 target",
    )


def _ranked(part: PartPlan, judge: Judge, score: float) -> list[Sensitivity]:
    """All coded blocks, those of most gain per MAC first."""
    blocks = _coded_blocks(part)
    found = []
    for block, lines in blocks.items():
        nodes = tuple(line.node for line in lines)
        gain = _score(judge(dict.fromkeys(nodes, ""))) - score
        macs = sum(line.macs for line in lines)
        found.append(Sensitivity(block=block, nodes=nodes, gain=gain, macs=macs))
    return sorted(found, key=lambda each: each.gain / max(each.macs, 1), reverse=True)


def _coded_blocks(part: PartPlan) -> dict[str, list[NodePlan]]:
    blocks: dict[str, list[NodePlan]] = {}
    for line in part.nodes:
        if line.precision is Precision.INT8:
            blocks.setdefault(line.block, []).append(line)
    return blocks


def _score(verdict: Verdict) -> float:
    return verdict.overall.mean_iou if verdict.overall else 0.0
