"""Prove what torch asserts about the sizes of a captured graph, and take the assertions out.

torch.export proves by algebra that a graph fits all sizes in its range. What the algebra cannot
decide, it leaves in the graph as assertions for run time, which other runtimes do not know. A range
is finite, so trying the sizes decides it.
"""

from __future__ import annotations

import itertools

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from edgekit.errors import GraphRejected

_ALL = 64
"""Of a range up to this size, all sizes are tried. Of a larger one, the first four and the last."""


def prove_sizes(exported: ExportedProgram) -> ExportedProgram:
    """Take the assertions about sizes out, in place.

    Raises:
        GraphRejected: one of them does not hold for all sizes in the graph's range.
    """
    tried = {
        str(size): _tried(int(span.lower), int(span.upper))
        for size, span in exported.range_constraints.items()
    }
    graph = exported.graph
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten._assert_scalar.default):
        condition = node.args[0]
        assert isinstance(condition, Node)
        _prove(condition.meta["val"], tried)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    exported.graph_module.recompile()
    return exported


def _tried(first: int, last: int) -> tuple[int, ...]:
    if last <= _ALL:
        return tuple(range(first, last + 1))
    return *range(first, first + 4), last


def _prove(condition: bool | torch.SymBool, tried: dict[str, tuple[int, ...]]) -> None:
    if isinstance(condition, bool):
        return
    expression = condition.node.expr
    symbols = sorted(expression.free_symbols, key=str)
    for sizes in itertools.product(*(tried[str(symbol)] for symbol in symbols)):
        if not expression.subs(dict(zip(symbols, sizes, strict=True))):
            named = (f"{symbol} = {size}" for symbol, size in zip(symbols, sizes, strict=True))
            raise GraphRejected(
                f"The decoder does not take all sizes of its inputs: {expression} is false for "
                f"{', '.join(named)}.",
                expected="a decoder for any number of prompts and points",
            )
