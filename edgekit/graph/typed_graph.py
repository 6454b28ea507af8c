"""The one index of an ONNX graph: types, shapes, constants, and who makes and reads each tensor."""

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
    """Nodes in order, and tables by tensor name.

    `readers` lists (node, operand position); `producers` has no entry for inputs and initializers.
    A tensor without a known type or shape is missing from `types` or `shapes`. In a shape, a string
    names a dynamic dimension and None is a size that is not known.
    """

    opset: int
    nodes: tuple[onnx.NodeProto, ...]
    types: dict[str, int]
    shapes: dict[str, Shape]
    ranks: dict[str, int]
    constants: dict[str, np.ndarray]
    producers: dict[str, onnx.NodeProto]
    readers: dict[str, tuple[tuple[onnx.NodeProto, int], ...]]
    outputs: frozenset[str]

    def inputs_of_type(self, node: onnx.NodeProto, dtype: int) -> list[str]:
        """Names of the node's operands with that element type."""
        return [name for name in node.input if self.types.get(name) == dtype]

    def computed(self, dtype: int) -> Iterator[tuple[onnx.NodeProto, str]]:
        """(node, output) for each non-constant tensor of that element type."""
        for node in self.nodes:
            for name in node.output:
                if self.types.get(name) == dtype and name not in self.constants:
                    yield node, name


def typed_graph(model: onnx.ModelProto) -> TypedGraph:
    """Index the graph after ONNX shape inference. The model is left unchanged."""
    # data_prop follows computed shapes, which decide the ranks behind Reshape and Expand.
    return annotated_graph(onnx.shape_inference.infer_shapes(model, data_prop=True))


def annotated_graph(model: onnx.ModelProto) -> TypedGraph:
    """Index the graph by the types and shapes that the model itself states."""
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {v.name: _shape(v) for v in values if v.type.tensor_type.HasField("shape")}
    shapes |= {t.name: tuple(t.dims) for t in graph.initializer}
    readers = defaultdict(list)
    for node in graph.node:
        for position, name in enumerate(node.input):
            readers[name].append((node, position))
    return TypedGraph(
        opset=opset_of(model),
        nodes=tuple(graph.node),
        types={v.name: v.type.tensor_type.elem_type for v in values}
        | {t.name: t.data_type for t in graph.initializer},
        shapes=shapes,
        ranks={name: len(shape) for name, shape in shapes.items()},
        constants={t.name: _initializer_value(t) for t in graph.initializer}
        | {n.output[0]: _constant_value(n) for n in graph.node if n.op_type == "Constant"},
        producers={name: node for node in graph.node for name in node.output if name},
        readers={name: tuple(uses) for name, uses in readers.items()},
        outputs=frozenset(v.name for v in graph.output),
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operator set (domain "")."""
    domains = {entry.domain: int(entry.version) for entry in model.opset_import}
    return domains[""]


def _initializer_value(tensor: onnx.TensorProto) -> np.ndarray:
    """The value. For external data, zeros of the right type and shape that take no memory."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.broadcast_to(np.zeros((), dtype), tuple(tensor.dims))
    return numpy_helper.to_array(tensor)


def _constant_value(constant: onnx.NodeProto) -> np.ndarray:
    (value,) = (onnx.helper.get_attribute_value(a) for a in constant.attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)  # from value_int, value_floats and the like


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )
