"""Multiply-accumulates of a node, from the shapes in the captured program."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import fx

from edgekit.program.capture import POINTS, PROMPTS, Program
from edgekit.program.operators import ATTENTION, CONVOLUTIONS, MAC_OPERATORS, TRANSPOSED

NOMINAL = {PROMPTS: 1, POINTS: 2}
"""Sizes of dynamic dimensions that MACs are counted for: one prompt of two points, a box."""

Sizes = Mapping[object, int]
"""torch's symbol of a dynamic dimension -> its size."""


def macs_by_node(program: Program) -> dict[str, int]:
    """MACs per run of every node that multiplies and sums; other nodes have no entry."""
    sizes = nominal_sizes(program)
    nodes = program.exported.graph.nodes
    return {node.name: _macs(node, sizes) for node in nodes if node.target in MAC_OPERATORS}


def nominal_sizes(program: Program) -> Sizes:
    """torch's symbol of each dynamic dimension of the interface, and its nominal size."""
    nodes = {node.name: node for node in program.exported.graph.nodes}
    return {
        size.node.expr: NOMINAL[dim]
        for spec in program.inputs
        for size, dim in zip(nodes[spec.name].meta["val"].shape, spec.shape, strict=True)
        if isinstance(dim, str) and isinstance(size, torch.SymInt)
    }


def shape_of(node: fx.Node, sizes: Sizes) -> tuple[int, ...]:
    """The shape of the node's result with these sizes of dynamic dimensions."""
    return tuple(
        int(size.node.expr.xreplace(sizes)) if isinstance(size, torch.SymInt) else size
        for size in node.meta["val"].shape
    )


def terms_of(node: fx.Node, sizes: Sizes) -> int:
    """Number of products that are summed into one number of the result."""
    left, right, *_ = node.all_input_nodes
    if node.target in CONVOLUTIONS:
        # The weight of a transposed convolution is [in, out / groups, ...]. Each output number
        # sums every input channel at kernel / stride of the taps.
        shape = shape_of(right, sizes)
        if node.target in TRANSPOSED:
            stride = _stride(node, axes=len(shape) - 2)
            return max(1, shape[0] * math.prod(shape[2:]) // stride)
        return math.prod(shape[1:])
    return shape_of(left, sizes)[-1]


def _macs(node: fx.Node, sizes: Sizes) -> int:
    if node.target in ATTENTION:
        query, key, value = (shape_of(source, sizes) for source in node.all_input_nodes[:3])
        scores = math.prod(query[:-1]) * key[-2]
        return scores * (query[-1] + value[-1])
    if node.target in TRANSPOSED:
        image, weight = (shape_of(source, sizes) for source in node.all_input_nodes[:2])
        return math.prod(image) * math.prod(weight[1:])
    return math.prod(shape_of(node, sizes)) * terms_of(node, sizes)


def _stride(node: fx.Node, *, axes: int) -> int:
    """The product of a convolution's strides along its axes."""
    value = node.args[3] if len(node.args) > 3 else 1
    sides = tuple(value) if isinstance(value, list | tuple) else (value,)
    return math.prod(int(str(side)) for side in (sides if len(sides) == axes else sides * axes))
