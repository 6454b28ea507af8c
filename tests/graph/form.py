"""Assert that every compiler accepts the operators and ranks of a captured program."""

from __future__ import annotations

from torch import Tensor

from edgekit.precision.decide.plan import plannable
from edgekit.program.capture import Program

MAX_RANK = 4
"""For photos: LiteRT's limit inside attention and windows; Core ML's is 5."""
UNWANTED = ("bicubic", "einsum", "roll", "repeat_interleave", "index.Tensor")
"""Parts of the names of aten operators that some edge compilers lack."""


def require_form(program: Program, *, max_rank: int = MAX_RANK) -> None:
    """Check ranks, operators, and that each node that computes has a single result."""
    nodes = program.exported.graph.nodes
    values = {node.name: node.meta.get("val") for node in nodes}
    assert not {
        name
        for name, value in values.items()
        if isinstance(value, Tensor) and value.dim() > max_rank
    }
    called = {str(node.target) for node in nodes if node.op == "call_function"}
    assert not {op for op in called if any(word in op for word in UNWANTED)}
    assert all(isinstance(values[node.name], Tensor) for node in plannable(program))
