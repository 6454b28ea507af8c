"""Find attention in a captured program: the products before and after a softmax."""

from __future__ import annotations

from torch import fx

from edgekit.program.operators import LAYOUT, PRODUCTS, aten, maker

_SOFTMAX = aten.softmax.int
_ON_THE_WAY = LAYOUT | {aten.add.Tensor, aten.mul.Tensor, aten.div.Tensor}
"""What may lie between a product and the softmax of it: scales, biases and layout."""


def in_attention(node: fx.Node) -> bool:
    """Whether the node is a product of attention: one that gives scores, or weighs values."""
    return gives_scores(node) or weighs_values(node)


def gives_scores(node: fx.Node) -> bool:
    """Whether the node is a product of whose result, or of a sum with it, a softmax is taken."""
    return node.target in PRODUCTS and _reaches_softmax(node)


def weighs_values(node: fx.Node) -> bool:
    """Whether the node is a product whose first operand is the output of a softmax."""
    return node.target in PRODUCTS and maker(node.all_input_nodes[0]).target is _SOFTMAX


def _reaches_softmax(node: fx.Node) -> bool:
    return any(
        user.target is _SOFTMAX or (user.target in _ON_THE_WAY and _reaches_softmax(user))
        for user in node.users
    )
