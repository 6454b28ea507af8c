"""Keep blocks in FP32 until the masks pass the gate: bisection by mask IoU.

Ranges and error estimates decide first (`fp16`). If the masks of the calibration photos still miss
the gate, halving finds a smallest set of blocks in FP32 with which they pass (QuickXplain: Junker,
AAAI 2004). The search moves blocks and not nodes, because one run costs seconds. Every step holds a
set that is known to pass, so the search can stop after any number of runs; it then keeps more
blocks in FP32 than needed, never fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekit.errors import GraphRejected
from edgekit.precision.decide.plan import plannable
from edgekit.program.blocks import block_names
from edgekit.program.capture import Program
from edgekit.records import Role
from edgekit.verification import Verdict

Islands = dict[Role, dict[str, str]]
"""Nodes that stay FP32, by role: name -> reason."""

JudgeIslands = Callable[[Islands], Verdict]
"""Runs the programs with these islands and compares masks with the reference."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Block:
    """Nodes of one program that the search moves together."""

    role: Role
    name: str
    nodes: tuple[str, ...]


MOST_TRIES = 24
"""Judgements in one search: enough to find one block among 4096, or two among 64."""


def keep_blocks_in_fp32(
    programs: Sequence[Program], islands: Islands, judge: JudgeIslands
) -> Islands:
    """The islands, plus the blocks that must stay FP32 for the verdict to pass.

    Args:
        programs: those of one model.
        islands: the islands of each program that follow from the ranges.
        judge: called at most `MOST_TRIES` + 2 times.

    Raises:
        GraphRejected: the verdict fails even with everything in FP32.
    """
    if judge(islands).passed:
        return islands
    blocks = blocks_of(programs, islands)
    if not (all_fp32 := judge(_with_blocks(islands, blocks))).passed:
        raise GraphRejected(
            f"The gate fails in FP32 too: {'; '.join(all_fp32.failures)}",
            expected="a captured program that gives the reference's masks",
        )

    def passes(in_fp32: Sequence[Block]) -> bool:
        return judge(_with_blocks(islands, in_fp32)).passed

    return _with_blocks(islands, _needed(blocks, (), passes, MOST_TRIES))


def blocks_of(programs: Sequence[Program], islands: Islands) -> list[Block]:
    """The blocks that have nodes outside the islands, in order."""
    blocks = []
    for program in programs:
        names, members = block_names(program), dict[str, list[str]]()
        for node in plannable(program):
            if node.name not in islands[program.role]:
                members.setdefault(names[node.name], []).append(node.name)
        blocks += [
            Block(role=program.role, name=name, nodes=tuple(nodes))
            for name, nodes in members.items()
        ]
    return blocks


def _needed(
    blocks: Sequence[Block],
    fixed: Sequence[Block],
    passes: Callable[[Sequence[Block]], bool],
    tries: int,
) -> Sequence[Block]:
    """A smallest part of `blocks` that passes together with `fixed`; larger if tries run out.

    All of `blocks` with `fixed` are known to pass, and `fixed` alone is known to fail.
    """
    if len(blocks) == 1 or tries < 2:
        return blocks
    middle = len(blocks) // 2
    front, back = blocks[:middle], blocks[middle:]
    for half in (front, back):
        if passes((*fixed, *half)):
            return _needed(half, fixed, passes, tries - 2)
    left = (tries - 2) // 2
    front = _needed(front, (*fixed, *back), passes, left)
    return (*front, *_needed(back, (*fixed, *front), passes, left))


def _with_blocks(islands: Islands, blocks: Sequence[Block]) -> Islands:
    extended = {role: dict(reasons) for role, reasons in islands.items()}
    for block in blocks:
        reasons = dict.fromkeys(block.nodes, "search: masks miss the gate in FP16")
        extended[block.role].update(reasons)
    return extended
