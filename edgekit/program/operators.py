"""The aten operators of captured programs, grouped by their behaviour under rounding."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import torch
from torch import fx

aten = torch.ops.aten

TRANSPOSED = frozenset({aten.conv_transpose2d.input, aten.conv_transpose3d.input})
CONVOLUTIONS = frozenset({aten.conv2d.default, aten.conv3d.default}) | TRANSPOSED
LINEAR = frozenset({aten.linear.default})
PRODUCTS = frozenset({aten.matmul.default, aten.bmm.default})
ATTENTION = frozenset({aten.scaled_dot_product_attention.default})
MAC_OPERATORS = CONVOLUTIONS | LINEAR | PRODUCTS | ATTENTION
WEIGHTED = CONVOLUTIONS | LINEAR
"""Operators whose second operand is a weight."""

LAYOUT = frozenset(
    {
        operator.getitem,
        aten.chunk.default,
        aten.clone.default,
        aten.contiguous.default,
        aten.expand.default,
        aten.flatten.using_ints,
        aten.permute.default,
        aten.reshape.default,
        aten.select.int,
        aten.slice.Tensor,
        aten.split.Tensor,
        aten.split_with_sizes.default,
        aten.squeeze.dim,
        aten.t.default,
        aten.transpose.int,
        aten.unbind.int,
        aten.unflatten.int,
        aten.unsqueeze.default,
        aten.view.default,
    }
)
"""Operators that only move numbers, so range and precision stay those of the input."""

EXACT = frozenset({aten.relu.default, aten.max_pool2d.default, aten.pad.default})
"""Operators that select among their inputs and zero: exact in any precision."""


def is_floating(node: fx.Node) -> bool:
    """Whether the node's result is a floating-point tensor, or a list of them."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, list | tuple) and value else value
    return isinstance(first, torch.Tensor) and first.is_floating_point()


def computes(node: fx.Node) -> bool:
    """Whether the node computes new floating-point numbers; a plan has a line for each one."""
    return node.op == "call_function" and is_floating(node) and node.target not in LAYOUT


def floating_inputs(node: fx.Node) -> Iterator[fx.Node]:
    """The floating-point tensors that the node reads, each once."""
    return (source for source in node.all_input_nodes if is_floating(source))


def maker(node: fx.Node) -> fx.Node:
    """The node that computed the numbers: the start of a chain of layout nodes, or the node."""
    while node.op == "call_function" and node.target in LAYOUT:
        node = node.all_input_nodes[0]
    return node
