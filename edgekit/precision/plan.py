"""The lines of a precision plan from a program, and whether the two fit.

A node's name is that which torch.export gave it; the same model, torch and edgekit give the same
names, so a plan can be read, edited and applied again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from torch import fx

from edgekit.errors import BadInput
from edgekit.graph.capture import Program
from edgekit.precision.macs import macs_by_node
from edgekit.precision.operators import computes, maker
from edgekit.records import NodePlan, PartPlan, Precision

Decision = tuple[Precision, str | None]
"""A precision, and the reason where it is not the one asked for."""


def planned(program: Program, decide: Callable[[fx.Node], Decision]) -> PartPlan:
    """A line for every node that computes, in order, with what `decide` says about it."""
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


def block_names(program: Program) -> dict[str, str]:
    """The block of each node: the module that holds the layer or the weights it computes with.

    What has neither (a sum in the top module) belongs to the block of the node before it.
    """
    signature = program.exported.graph_signature
    weights = signature.inputs_to_parameters | signature.inputs_to_buffers
    blocks: dict[str, str] = {}
    latest = ""
    for node in program.exported.graph.nodes:
        if node.op == "call_function":
            latest = _block_of_module(node) or _block_of_weights(node, weights) or latest
            blocks[node.name] = latest
    return blocks


def _block_of_module(node: fx.Node) -> str:
    """The innermost module of the node, or the one around it if that is a layer of torch.nn."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    path, kind = stack[-1]
    if path.startswith("_empty_nn_module_stack"):  # torch's word for none
        return ""
    layer = str(kind).startswith("torch.nn.modules.") and ".container." not in str(kind)
    return path.rpartition(".")[0] if layer else str(path)


def _block_of_weights(node: fx.Node, weights: Mapping[str, str]) -> str:
    """The module around the layer whose weight the node reads: "a.b" for "a.b.k_proj.weight"."""
    read = (weights.get(maker(source).name) for source in node.all_input_nodes)
    owners = (name.rpartition(".")[0].rpartition(".")[0] for name in read if name)
    return next(owners, "")


def require_known_nodes(part: PartPlan, program: Program) -> None:
    """Refuse a plan that was made for another program.

    Raises:
        BadInput: it names nodes that are not there, names one twice, or leaves some out.
    """
    known = {node.name for node in plannable(program)}
    named = Counter(line.node for line in part.nodes)
    problems = [
        f"nodes that are not there: {_few(named.keys() - known)}" if named.keys() - known else "",
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
