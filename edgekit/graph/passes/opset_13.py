"""Rewrite a graph of opset 18 to 20 in opset 13, the last one that TensorRT 8.2 reads.

torch.onnx.export (2.13) starts at opset 18, and `onnx.version_converter` (1.23) cannot convert
LayerNormalization, Gelu or the reductions downwards. The rewrites here are exact. An operator that
kept its meaning is copied; an operator with an unlisted change is rejected.

Operators that opset 13 lacks are computed in float32, whatever type surrounds them: the squared
deviations of a layer norm exceed float16 from 256 on, and 1 + erf loses all digits near erf = -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgekit.errors import GraphRejected
from edgekit.graph.typed_graph import TypedGraph, typed_graph

OPSET = 13
IR_VERSION = 7
"""Version of the file format that belongs to opset 13 (onnx/docs/Versioning.md)."""

# Later versions of these only accept more types (onnx/docs/Changelog.md).
# fmt: off
_WIDENED = frozenset({
    "Add", "Constant", "ConstantOfShape", "DequantizeLinear", "Div", "Equal", "GreaterOrEqual",
    "Identity", "LeakyRelu", "LessOrEqual", "Mul", "PRelu", "Pow", "Relu", "Size", "Sub", "Where",
})
# fmt: on
# Attributes that later versions added, with the value that keeps the old meaning.
_LATER_ATTRIBUTES: dict[str, dict[str, object]] = {
    "BatchNormalization": {"training_mode": 0},
    "Cast": {"saturate": 1},
    "QuantizeLinear": {"saturate": 1},
    "Resize": {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """The graph that is rewritten, and the constants that the rewrites add to it."""

    graph: TypedGraph
    added: list[TensorProto] = field(default_factory=list)

    def constant(self, node: NodeProto, role: str, value: np.ndarray) -> str:
        """Add a constant that belongs to this node, and return its name."""
        name = f"{node.output[0]}.{role}"
        self.added.append(numpy_helper.from_array(value, name))
        return name


def opset_13(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in opset 13 that computes the same. Shape annotations are dropped.

    Raises:
        GraphRejected: an operator, or the way it is used, has no counterpart in opset 13.
    """
    draft = _Draft(graph=typed_graph(model))
    nodes = [new for node in model.graph.node for new in _rewritten(node, draft)]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.ir_version = IR_VERSION
    del result.opset_import[:]
    result.opset_import.append(helper.make_opsetid("", OPSET))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(draft.added)
    del result.graph.value_info[:]
    return result


def _rewritten(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    if rewrite := _REWRITES.get(node.op_type):
        yield from rewrite(node, draft)
    elif node.op_type in _LATER_ATTRIBUTES:
        yield _without(node, _LATER_ATTRIBUTES[node.op_type])
    elif node.op_type in _WIDENED or _same_version(node, draft.graph.opset):
        yield node
    else:
        raise _no_counterpart(node, f"{node.op_type} changed after opset {OPSET}")


def _same_version(node: NodeProto, opset: int) -> bool:
    versions = {
        onnx.defs.get_schema(node.op_type, version, node.domain).since_version
        for version in (OPSET, opset)
        if onnx.defs.has(node.op_type, version, node.domain)
    }
    return onnx.defs.has(node.op_type, OPSET, node.domain) and len(versions) == 1


def _no_counterpart(node: NodeProto, why: str) -> GraphRejected:
    return GraphRejected(
        f"{node.op_type} -> {node.output[0]} cannot be written in opset {OPSET}: {why}.",
        expected=f"operators of opset {OPSET}, or those that {__name__} rewrites",
        next_step="change the model definition, or add the rewrite",
    )


# --- attributes -----------------------------------------------------------------------------------


def _attribute(node: NodeProto, name: str, default: object = None) -> object:
    values = (helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    return next(values, default)


def _without(node: NodeProto, attributes: Mapping[str, object]) -> NodeProto:
    """A copy without these attributes, each of which must have the given value."""
    for name, neutral in attributes.items():
        if (value := _attribute(node, name, neutral)) != neutral:
            raise _no_counterpart(node, f"{name} is {value!r}")
    if node.op_type == "Resize" and _attribute(node, "axes") is not None:
        raise _no_counterpart(node, "it names axes")
    result = NodeProto()
    result.CopyFrom(node)
    kept = [a for a in node.attribute if a.name not in attributes]
    del result.attribute[:]
    result.attribute.extend(kept)
    return result


def _integer(node: NodeProto, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)


def _axes(node: NodeProto, operand: int, draft: _Draft) -> list[int] | None:
    """The axes that an operand holds; None if there is no such operand."""
    if len(node.input) <= operand or not node.input[operand]:
        return None
    if (axes := draft.graph.constants.get(node.input[operand])) is None:
        raise _no_counterpart(node, "its axes are computed")
    return [int(axis) for axis in axes.ravel()]


# --- one function per operator --------------------------------------------------------------------


def _reduction(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """Turn the axes from an operand (since opset 18) into an attribute."""
    axes = _axes(node, 1, draft)
    if not axes and _integer(node, "noop_with_empty_axes", 0):
        yield helper.make_node("Identity", node.input[:1], node.output, name=node.name)
        return
    result = helper.make_node(node.op_type, node.input[:1], node.output, name=node.name)
    result.attribute.append(helper.make_attribute("keepdims", _integer(node, "keepdims", 1)))
    if axes:
        result.attribute.append(helper.make_attribute("axes", axes))
    yield result


def _reshape(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """Drop `allowzero` (since opset 14), which only matters if the shape contains a zero."""
    shape = draft.graph.constants.get(node.input[1])
    may_have_zeros = shape is None or 0 in shape
    yield _without(node, {"allowzero": 0 if may_have_zeros else _attribute(node, "allowzero", 0)})


def _shape(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """Express `start` and `end` (since opset 15) as a Slice of the whole shape."""
    start, end = _attribute(node, "start", 0), _attribute(node, "end")
    if start == 0 and end is None:
        yield _without(node, {"start": 0})
        return
    whole = f"{node.output[0]}.whole"
    bounds = [
        draft.constant(node, role, np.array([value], np.int64))
        for role, value in (("start", start), ("end", _rank(node, draft) if end is None else end))
    ]
    axes = draft.constant(node, "axes", np.array([0], np.int64))
    yield helper.make_node("Shape", node.input, [whole], name=f"{node.name}.whole")
    yield helper.make_node("Slice", [whole, *bounds, axes], node.output, name=node.name)


def _rank(node: NodeProto, draft: _Draft) -> int:
    try:
        return draft.graph.ranks[node.input[0]]
    except KeyError:
        raise _no_counterpart(node, f"the rank of {node.input[0]} is not known") from None


def _pad(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """Express axes (since opset 18) as pads of zero along all other axes."""
    if _attribute(node, "mode", b"constant") == b"wrap":
        raise _no_counterpart(node, "mode is 'wrap'")
    result = NodeProto()
    result.CopyFrom(node)
    if (axes := _axes(node, 3, draft)) is not None:
        pads = draft.graph.constants.get(node.input[1])
        if pads is None:
            raise _no_counterpart(node, "it names axes and its pads are computed")
        full = np.zeros((2, _rank(node, draft)), np.int64)
        full[:, axes] = pads.reshape(2, -1)
        result.input[1] = draft.constant(node, "pads", full.ravel())
        del result.input[3:]
    yield result


def _split(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """Drop `num_outputs` (since opset 18); without sizes, opset 13 splits evenly."""
    axis = _integer(node, "axis", 0)
    shape = draft.graph.shapes.get(node.input[0])
    size = shape[axis] if shape else None
    if len(node.input) < 2 and not (isinstance(size, int) and size % len(node.output) == 0):
        raise _no_counterpart(node, "it may be uneven")
    yield _without(node, {"num_outputs": _attribute(node, "num_outputs")})


def _gelu(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """x/2 (1 + erf(x/sqrt 2)), or with tanh(sqrt(2/pi) (x + 0.044715 x^3)) in place of erf."""
    # TensorRT 8.2 has no Gelu. In float16, 1 + erf is off by a tenth at x = -3.
    step = _Steps(node, draft)
    x = step.to_float32(node.input[0])
    if _attribute(node, "approximate", b"none") == b"tanh":
        cube = step("Mul", step("Mul", x, x), step("Mul", x, 0.044715))
        curve = step("Tanh", step("Mul", step("Add", x, cube), math.sqrt(2 / math.pi)))
    else:
        curve = step("Erf", step("Mul", x, math.sqrt(0.5)))
    step.finish(step("Mul", step("Mul", x, 0.5), step("Add", curve, 1.0)), node.output[0])
    yield from step.nodes


def _layer_norm(node: NodeProto, draft: _Draft) -> Iterator[NodeProto]:
    """(x - mean) / sqrt(variance + epsilon) in float32, scale and bias in the type of x."""
    # TensorRT up to 8.5 has no LayerNormalization (NVIDIA/TensorRT#2657, #3346, #3642).
    if any(node.output[1:]):
        raise _no_counterpart(node, "its mean or deviation is used")
    axis = _integer(node, "axis", -1)
    last = 0 if axis < 0 else _rank(node, draft)
    axes = list(range(axis, last))
    step = _Steps(node, draft)
    x = step.to_float32(node.input[0])
    centred = step("Sub", x, step.mean(x, axes))
    variance = step.mean(step("Mul", centred, centred), axes)
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    normal = step("Div", centred, step("Sqrt", step("Add", variance, epsilon)))
    scale_and_bias = [name for name in node.input[1:] if name]
    result = step.cast_back(normal)
    for kind, operand in zip(("Mul", "Add"), scale_and_bias, strict=False):
        result = step(kind, result, operand)
    step.nodes[-1].output[0] = node.output[0]
    yield from step.nodes


class _Steps:
    """The nodes that replace one node, named after it with a number."""

    def __init__(self, node: NodeProto, draft: _Draft) -> None:
        self.nodes: list[NodeProto] = []
        self._node = node
        self._draft = draft
        self._type = draft.graph.types.get(node.input[0], TensorProto.FLOAT)

    def __call__(self, kind: str, *operands: str | float, **attributes: int | list[int]) -> str:
        """Append a node and return its output. Numbers become float32 constants."""
        number = len(self.nodes)
        names = [
            self._draft.constant(self._node, f"{number}.{position}", np.array(o, np.float32))
            if isinstance(o, float)
            else o
            for position, o in enumerate(operands)
        ]
        output = f"{self._node.output[0]}.{number}"
        name = f"{self._node.name}.{number}"
        node = helper.make_node(kind, names, [output], name=name)
        node.attribute.extend(helper.make_attribute(k, value) for k, value in attributes.items())
        self.nodes.append(node)
        return output

    def mean(self, x: str, axes: list[int]) -> str:
        return self("ReduceMean", x, axes=axes, keepdims=1)

    def to_float32(self, x: str) -> str:
        return x if self._type == TensorProto.FLOAT else self("Cast", x, to=TensorProto.FLOAT)

    def cast_back(self, x: str) -> str:
        return x if self._type == TensorProto.FLOAT else self("Cast", x, to=self._type)

    def finish(self, x: str, output: str) -> None:
        """Cast to the type of the replaced node, and give the last step its output's name."""
        self.cast_back(x)
        self.nodes[-1].output[0] = output


_Rewrite = Callable[[NodeProto, _Draft], Iterator[NodeProto]]
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_REWRITES: dict[str, _Rewrite] = {
    "Gelu": _gelu,
    "LayerNormalization": _layer_norm,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Split": _split,
    **{f"Reduce{kind}": _reduction for kind in _REDUCTIONS},
}
