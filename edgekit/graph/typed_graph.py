"""An ONNX graph with what can be known about its tensors: type, rank, who reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedGraph:
    """Nodes in order, and per tensor name: element type, shape, rank, constant value, readers.

    `readers` lists (node, operand position). Types and shapes come from ONNX shape inference; a
    tensor that it cannot type is missing from the table. In a shape, a string names a dynamic
    dimension and None is one that nothing is known about.
    """

    opset: int
    nodes: tuple[onnx.NodeProto, ...]
    types: dict[str, int]
    shapes: dict[str, Shape]
    ranks: dict[str, int]
    constants: dict[str, np.ndarray]
    readers: dict[str, tuple[tuple[onnx.NodeProto, int], ...]]
    outputs: frozenset[str]

    def inputs_of_type(self, node: onnx.NodeProto, dtype: int) -> list[str]:
        """Names of the node's operands with that element type."""
        return [name for name in node.input if self.types.get(name) == dtype]

    def computed(self, dtype: int) -> Iterator[tuple[onnx.NodeProto, str]]:
        """(node, output) for each non-constant tensor of that element type that a node makes."""
        for node in self.nodes:
            for name in node.output:
                if self.types.get(name) == dtype and name not in self.constants:
                    yield node, name


def typed_graph(model: onnx.ModelProto) -> TypedGraph:
    """Run shape inference and index the result."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    readers = defaultdict(list)
    for node in graph.node:
        for position, name in enumerate(node.input):
            readers[name].append((node, position))
    shapes = {v.name: _shape(v) for v in values if v.type.tensor_type.HasField("shape")}
    shapes |= {t.name: tuple(t.dims) for t in graph.initializer}
    return TypedGraph(
        opset=opset_of(model),
        nodes=tuple(graph.node),
        types={v.name: v.type.tensor_type.elem_type for v in values}
        | {t.name: t.data_type for t in graph.initializer},
        shapes=shapes,
        ranks={name: len(shape) for name, shape in shapes.items()},
        constants={t.name: _initial(t) for t in graph.initializer}
        | {n.output[0]: _value(n) for n in graph.node if n.op_type == "Constant"},
        readers={name: tuple(found) for name, found in readers.items()},
        outputs=frozenset(v.name for v in graph.output),
    )


def _initial(tensor: onnx.TensorProto) -> np.ndarray:
    """The value; of a weight that lies beside the model, only type and shape (and no memory)."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.broadcast_to(np.zeros((), dtype), tuple(tensor.dims))
    return numpy_helper.to_array(tensor)


def _value(constant: onnx.NodeProto) -> np.ndarray:
    (value,) = (onnx.helper.get_attribute_value(a) for a in constant.attribute)
    return (
        numpy_helper.to_array(value)
        if isinstance(value, onnx.TensorProto)
        else np.asarray(value)  # value_int, value_floats and their like
    )


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operator set (domain "")."""
    domains = {entry.domain: int(entry.version) for entry in model.opset_import}
    return domains[""]
