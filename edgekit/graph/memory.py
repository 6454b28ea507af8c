"""An estimate of the memory that a graph needs, made before a compiler sees the graph.

Without it, users learn the need from a failed tactic minutes into a build ("requested 4248 MB,
available 2507 MB", NVIDIA-AI-IOT/nanosam#18). Each tensor counts from the node that makes it to the
last node that reads it, in its own type and at the largest shapes that the engine takes. A compiler
that fuses operators needs less. The scratch memory of its kernels comes on top and has its own
limit (the workspace).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper
from onnxscript.optimizer import fold_constants

from edgekit.errors import GraphRejected
from edgekit.graph.typed_graph import TypedGraph, typed_graph
from edgekit.records import MemoryNeed

_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators whose result is their first input under another shape; it takes no memory."""


def memory_need_of_file(path: Path, sizes: Mapping[str, int]) -> MemoryNeed:
    """`memory_need` of an ONNX file. External weights are not read, only their sizes."""
    return memory_need(onnx.load(path, load_external_data=False), sizes)


def memory_need(model: onnx.ModelProto, sizes: Mapping[str, int]) -> MemoryNeed:
    """The estimate for one graph, in bytes.

    Args:
        model: with the types that it will run in.
        sizes: the size of each dynamic dimension, by its name.

    Raises:
        GraphRejected: a tensor has no known size.
    """
    graph = typed_graph(_with_sizes(model, sizes))
    inputs = tuple(value.name for value in model.graph.input)
    return MemoryNeed(
        weights=sum(array.nbytes for array in graph.constants.values()),
        activations=_peak(graph, inputs),
        sizes=dict(sizes),
    )


def _with_sizes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    # ONNX's shape inference knows a Slice's shape only if the end is a constant.
    fold_constants(fixed, onnx_shape_inference=True)
    return fixed


def _peak(graph: TypedGraph, inputs: tuple[str, ...]) -> int:
    """The most bytes alive while any one node runs."""
    owner = _owners(graph)
    last_use = _last_uses(graph, owner)
    alive = {name: _bytes(name, graph) for name in inputs}
    peak = sum(alive.values())
    for index, node in enumerate(graph.nodes):
        for name in _results(node, graph):
            if owner[name] == name:
                alive[name] = _bytes(name, graph)
        peak = max(peak, sum(alive.values()))
        for name in [name for name in alive if last_use.get(name, -1) <= index]:
            del alive[name]
    return peak


def _owners(graph: TypedGraph) -> dict[str, str]:
    """The tensor that owns each computed tensor's memory: itself, or the one it is a view of."""
    owner: dict[str, str] = {}
    for node in graph.nodes:
        for name in _results(node, graph):
            source = node.input[0] if node.op_type in _VIEWS else name
            owner[name] = owner.get(source, source) if source not in graph.constants else name
    return owner


def _last_uses(graph: TypedGraph, owner: Mapping[str, str]) -> dict[str, int]:
    """The index of the last node that uses a tensor or a view of it; outputs live to the end."""
    last = {
        owner.get(name, name): index
        for index, node in enumerate(graph.nodes)
        for name in (*node.input, *node.output)
    }
    return last | {owner.get(name, name): len(graph.nodes) for name in graph.outputs}


def _results(node: NodeProto, graph: TypedGraph) -> list[str]:
    return [name for name in node.output if name and name not in graph.constants]


def _bytes(name: str, graph: TypedGraph) -> int:
    shape, dtype = graph.shapes.get(name), graph.types.get(name, TensorProto.UNDEFINED)
    if shape is None or not dtype or not all(isinstance(dim, int) for dim in shape):
        raise GraphRejected(
            f"The memory of {name} cannot be estimated: its shape is {shape}.",
            expected="shapes that follow from the sizes of the inputs",
        )
    return prod(dim for dim in shape if isinstance(dim, int)) * _item_size(dtype)


def _item_size(dtype: int) -> int:
    return helper.tensor_dtype_to_np_dtype(dtype).itemsize
