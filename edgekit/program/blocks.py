"""The block of each node of a captured program: the module that it comes from."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from edgekit.program.capture import Program
from edgekit.program.operators import maker


def block_names(program: Program) -> dict[str, str]:
    """The block of each node: the module that holds its layer or the weights that it reads.

    A node with neither (a sum in the top module) belongs to the block of the node before it.
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
    """The innermost module of the node; if that is a layer of torch.nn, the module around it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    path, kind = stack[-1]
    if path.startswith("_empty_nn_module_stack"):  # torch 2.13 writes this for no module
        return ""
    layer = str(kind).startswith("torch.nn.modules.") and ".container." not in str(kind)
    return path.rpartition(".")[0] if layer else str(path)


def _block_of_weights(node: fx.Node, weights: Mapping[str, str]) -> str:
    """The module around the layer whose weight the node reads ("a.b" for "a.b.proj.weight")."""
    read = (weights.get(maker(source).name) for source in node.all_input_nodes)
    owners = (name.rpartition(".")[0].rpartition(".")[0] for name in read if name)
    return next(owners, "")
