"""Move blocks back to FP32 until masks are right: bisection by mask IoU.

Ranges and error estimates decide first (`fp16`). What they overlook shows in the masks of the
calibration photos; then halving finds a smallest set of blocks with which the gate holds
(QuickXplain: Junker, AAAI 2004). Blocks, not nodes: one run costs seconds. Every step keeps a set
that is known to pass, so the search can end after any number of runs: with more blocks, not worse.
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

Judge = Callable[[Islands], Verdict]
"""Emulates both programs with these islands and compares masks with the reference."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Block:
    """Nodes of one program that are moved together."""

    role: Role
    name: str
    nodes: tuple[str, ...]


MOST_TRIES = 24
"""Judgements of one search: enough to find one block among 4096, or two among 64."""


def mend(programs: Sequence[Program], islands: Islands, judge: Judge) -> Islands:
    """The islands, and those that had to be added for the verdict to pass.

    Args:
        programs: of one model.
        islands: what the ranges ask for, of each program.
        judge: called at most `MOST_TRIES` + 2 times.

    Raises:
        GraphRejected: it does not pass with everything in FP32 either.
    """
    if judge(islands).passed:
        return islands
    blocks = blocks_of(programs, islands)
    if not (whole := judge(_with(islands, blocks))).passed:
        raise GraphRejected(
            f"The gate fails in FP32 too: {'; '.join(whole.failures)}",
            expected="a captured program that gives the reference's masks",
        )

    def passes(returned: Sequence[Block]) -> bool:
        return judge(_with(islands, returned)).passed

    return _with(islands, _needed(blocks, (), passes, MOST_TRIES))


def blocks_of(programs: Sequence[Program], islands: Islands) -> list[Block]:
    """The blocks that still have nodes to move, in order."""
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
    kept: Sequence[Block],
    passes: Callable[[Sequence[Block]], bool],
    tries: int,
) -> Sequence[Block]:
    """A smallest part of `blocks` that passes beside `kept`; a larger one once tries run out.

    All of `blocks` beside `kept` are known to pass, `kept` alone to fail.
    """
    if len(blocks) == 1 or tries < 2:
        return blocks
    middle = len(blocks) // 2
    front, back = blocks[:middle], blocks[middle:]
    for half in (front, back):
        if passes((*kept, *half)):
            return _needed(half, kept, passes, tries - 2)
    left = (tries - 2) // 2
    front = _needed(front, (*kept, *back), passes, left)
    return (*front, *_needed(back, (*kept, *front), passes, left))


def _with(islands: Islands, blocks: Sequence[Block]) -> Islands:
    added = {role: dict(named) for role, named in islands.items()}
    for block in blocks:
        added[block.role].update(dict.fromkeys(block.nodes, "search: masks miss the gate in FP16"))
    return added
