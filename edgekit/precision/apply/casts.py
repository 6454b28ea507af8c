"""Apply a plan of FP32 and FP16 (or BF16) nodes by casts in the captured program.

The types of the graph then state every precision, and no compiler can read it differently. TensorRT
11 takes nothing else: it has dropped the precision flags. The graph's inputs and outputs stay
float32, as the graph contract wants.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.precision.decide.plan import require_known_nodes
from edgekit.program.capture import Program
from edgekit.program.operators import LAYOUT, aten, floating_inputs, is_floating
from edgekit.records import PartPlan, Precision

DTYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}

_CAST = aten.to.dtype


def apply_casts(program: Program, part: PartPlan) -> Program:
    """A copy of the program in which each node computes in its planned precision.

    A node reads its inputs in its own type, weights included (the lowering folds their casts).
    Nodes that only move numbers keep the type of their input. A tensor is cast at most once per
    type, where it is made.

    Raises:
        BadInput: the plan was made for another program.
    """
    require_known_nodes(part, program)
    # Edited and not exported again: torch.export (2.13) refuses to trace the decoder's dynamic
    # reshapes a second time (a guard over min(256, ...) of its strides).
    exported = _copied(program.exported)
    graph = exported.graph_module.graph
    wanted = {line.node: DTYPES[line.precision] for line in part.nodes}
    casts = _Casts(graph)
    for node in list(graph.nodes):
        if node.name in wanted:
            _retype(node, wanted[node.name], casts)
        elif node.op == "call_function" and node.target in LAYOUT and is_floating(node):
            _set_dtype(node, _dtype(next(floating_inputs(node))))
        elif node.op == "output":
            _read_as(node, torch.float32, casts)
    exported.graph_module.recompile()
    return replace(program, exported=exported)


class _Casts:
    """The casts of a graph; two readers of a tensor share one."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self._casts: dict[tuple[fx.Node, torch.dtype], fx.Node] = {}
        self._last_placeholder = [n for n in graph.nodes if n.op == "placeholder"][-1]

    def of(self, source: fx.Node, dtype: torch.dtype) -> fx.Node:
        """The node that casts the tensor to this type."""
        key = (source, dtype)
        if key not in self._casts:
            after = self._last_placeholder if source.op == "placeholder" else source
            with self._graph.inserting_after(after):
                cast = self._graph.call_function(_CAST, (source, dtype))
            cast.meta["val"] = source.meta["val"].to(dtype)
            self._casts[key] = cast
        return self._casts[key]


def _retype(node: fx.Node, dtype: torch.dtype, casts: _Casts) -> None:
    if node.target is _CAST:  # of a comparison: it casts straight to the planned type
        node.args = (node.args[0], dtype, *node.args[2:])
    else:
        _read_as(node, dtype, casts)
    _set_dtype(node, dtype)


def _read_as(node: fx.Node, dtype: torch.dtype, casts: _Casts) -> None:
    for source in list(floating_inputs(node)):
        if _dtype(source) is not dtype:
            node.replace_input_with(source, casts.of(source, dtype))


def _dtype(node: fx.Node) -> torch.dtype:
    value = node.meta["val"]
    first = value[0] if isinstance(value, list | tuple) else value
    return first.dtype  # type: ignore[no-any-return]


def _set_dtype(node: fx.Node, dtype: torch.dtype) -> None:
    value = node.meta["val"]
    if isinstance(value, list | tuple):
        node.meta["val"] = [each.to(dtype) for each in value]
    else:
        node.meta["val"] = value.to(dtype)


def _copied(exported: ExportedProgram) -> ExportedProgram:
    """A program with its own graph; weights and constants are shared."""
    module = copy.deepcopy(exported.graph_module)
    return ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=copy.deepcopy(exported.graph_signature),
        state_dict=exported.state_dict,
        range_constraints=exported.range_constraints,
        module_call_graph=exported.module_call_graph,
        example_inputs=exported.example_inputs,
        constants=exported.constants,
        verifiers=exported.verifiers,
    )
