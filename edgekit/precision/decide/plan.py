"""Make the lines of a precision plan from a program, and check that the two fit.

Lines use the node names of torch.export. The same model, torch and edgekit give the same names, so
a plan can be read, edited and applied again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from torch import fx

from edgekit.errors import BadInput
from edgekit.program.blocks import block_names
from edgekit.program.capture import Program
from edgekit.program.operators import computes
from edgekit.program.work import macs_by_node
from edgekit.records import NodePlan, PartPlan, Precision

Decision = tuple[Precision, str | None]
"""A precision, and the reason if it is not the requested one."""


def make_part(program: Program, decide: Callable[[fx.Node], Decision]) -> PartPlan:
    """A line for every node that computes, in order, with the decision of `decide`."""
    blocks, macs = block_names(program), macs_by_node(program)
    lines = []
    for node in plannable(program):
        precision, reason = decide(node)
        lines.append(
            NodePlan(
                node=node.name,
                operator=str(node.target).removeprefix("aten."),
                block=blocks[node.name],
                macs=macs.get(node.name, 0),
                precision=precision,
                reason=reason,
            )
        )
    return PartPlan(role=program.role, nodes=tuple(lines))


def plannable(program: Program) -> list[fx.Node]:
    """The nodes that a plan has lines for, in order."""
    return [node for node in program.exported.graph.nodes if computes(node)]


def require_known_nodes(part: PartPlan, program: Program) -> None:
    """Refuse a plan that was made for another program.

    Raises:
        BadInput: the plan names unknown nodes, names a node twice, or leaves nodes out.
    """
    known = {node.name for node in plannable(program)}
    named = Counter(line.node for line in part.nodes)
    problems = [
        f"unknown nodes: {_few(named.keys() - known)}" if named.keys() - known else "",
        f"nodes left out: {_few(known - named.keys())}" if known - named.keys() else "",
        f"nodes named twice: {_few({n for n, count in named.items() if count > 1})}"
        if max(named.values(), default=0) > 1
        else "",
    ]
    if any(problems):
        raise BadInput(
            f"The precision plan does not fit the {program.role}: "
            + "; ".join(filter(None, problems)),
            expected=f"one line for each of the {len(known)} nodes that compute",
            next_step="make the plan again with this version of edgekit and torch",
        )


def _few(names: set[str], most: int = 5) -> str:
    listed = ", ".join(sorted(names)[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
