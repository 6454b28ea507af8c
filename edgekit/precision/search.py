"""Move blocks back to FP32 until masks are right: bisection by mask IoU.

Ranges and error estimates decide first (`fp16`). What they overlook shows in the masks of the
calibration photos; then the block whose return to FP32 mends most is found by halving, and so on
until the gate holds. Blocks, not nodes: one run costs seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekit.errors import GraphRejected
from edgekit.graph.capture import Program
from edgekit.precision.plan import block_names, plannable
from edgekit.records import Role
from edgekit.verify import Verdict

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


def mend(programs: Sequence[Program], islands: Islands, judge: Judge) -> Islands:
    """The islands, and those that had to be added for the verdict to pass.

    Raises:
        GraphRejected: it does not pass with everything in FP32 either.
    """
    verdict = judge(islands)
    blocks = blocks_of(programs, islands)
    if not verdict.passed and not (whole := judge(_with(islands, blocks, ""))).passed:
        raise GraphRejected(
            f"The gate fails in FP32 too: {'; '.join(whole.failures)}",
            expected="a captured program that gives the reference's masks",
        )
    while not verdict.passed:
        block = _worst(blocks, islands, judge)
        mended = judge(_with(islands, [block], ""))
        gain = _score(mended) - _score(verdict)
        islands = _with(islands, [block], f"search: {gain:+.3f} IoU")
        blocks = [other for other in blocks if other != block]
        verdict = mended
    return islands


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


def _worst(blocks: Sequence[Block], islands: Islands, judge: Judge) -> Block:
    """Halve, keeping the half whose return to FP32 gives the better masks."""
    while len(blocks) > 1:
        middle = len(blocks) // 2
        halves = blocks[:middle], blocks[middle:]
        first, second = (_score(judge(_with(islands, half, ""))) for half in halves)
        blocks = halves[0] if first >= second else halves[1]
    return blocks[0]


def _with(islands: Islands, blocks: Sequence[Block], reason: str) -> Islands:
    added = {role: dict(named) for role, named in islands.items()}
    for block in blocks:
        added[block.role].update(dict.fromkeys(block.nodes, reason))
    return added


def _score(verdict: Verdict) -> float:
    return verdict.overall.mean_iou if verdict.overall else 0.0
