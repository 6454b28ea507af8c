"""Tables of what each version of a runtime's ONNX parser imports, and a check against them.

TensorRT's builder is not on the public package index, so a graph cannot be tried before it reaches
the device. The parser's own operator table (`source` in each file) is the next best check. The
tables leave out limits of recurrent and control-flow operators, which edgekit's graphs never use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import onnx
from onnx import NodeProto, TensorProto

from edgekit.catalog.tables import record_from_toml
from edgekit.graph.typed_graph import TypedGraph
from edgekit.records import Target

_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "double",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}
# Operators whose data is not the first operand. None: the output decides the type.
_DATA_OPERAND = {"Where": 1, "Constant": None, "ConstantOfShape": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTable:
    """The operators of one version of one runtime.

    `operators` maps types of the data operand ("fp32 fp16") to the operators that take them.
    `casts` maps other types to the type that the parser turns them into. By operator:
    `constant_operands` are positions that must hold constants, `ranks` the allowed ranks of the
    data operand, `outputs` the number of outputs that may be used, and `attributes` the allowed
    values of an attribute where it is given.
    """

    runtime: str
    version: str
    source: str
    newest_opset: int
    quantization: Literal["any", "symmetric_int8"]
    operators: dict[str, tuple[str, ...]]
    casts: dict[str, str] = field(default_factory=dict)
    constant_operands: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ranks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, dict[str, tuple[str | int | tuple[int, ...], ...]]] = field(
        default_factory=dict
    )

    def types_of(self, operator: str) -> frozenset[str]:
        """Types of the data operand; empty for an operator that is not imported."""
        taken = (types for types, names in self.operators.items() if operator in names)
        return frozenset(next(taken, "").split())


@cache
def operator_tables() -> tuple[OperatorTable, ...]:
    """All tables, by file name."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return tuple(record_from_toml(OperatorTable, file) for file in files)


def tables_for(target: Target) -> tuple[OperatorTable, ...]:
    """The tables of the versions that a target accepts; a graph must fit each of them.

    If the oldest accepted version has no table, the table of the version before it applies, since
    a parser only gains operators from version to version.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    accepted = SpecifierSet(target.runtime_versions)
    bounds = (Version(s.version) for s in accepted if s.operator in (">=", "==", "~="))
    oldest = max(bounds, default=Version("0"))
    tables = sorted(
        (table for table in operator_tables() if table.runtime == target.runtime),
        key=lambda table: Version(table.version),
    )
    before = [table for table in tables if Version(table.version) <= oldest]
    within = [table for table in tables if accepted.contains(table.version)]
    return tuple(table for table in tables if table in (*before[-1:], *within))


def breaches(graph: TypedGraph, table: OperatorTable) -> Iterator[tuple[NodeProto, str]]:
    """Nodes that the table does not allow, each with the problem."""
    for node in graph.nodes:
        types = table.types_of(node.op_type)
        if not types:
            yield node, "is not imported"
            continue
        if (dtype := _data_type(node, graph, table)) not in types:
            yield node, f"is imported for {', '.join(sorted(types))}, not for {dtype}"
        for problem in _misuses(node, graph, table):
            yield node, problem


def _data_type(node: NodeProto, graph: TypedGraph, table: OperatorTable) -> str:
    position = _DATA_OPERAND.get(node.op_type, 0)
    name = node.output[0] if position is None else node.input[position]
    dtype = graph.types.get(name, TensorProto.UNDEFINED)
    written = _TYPES.get(dtype) or str(TensorProto.DataType.Name(dtype)).lower()
    return table.casts.get(written, written)


def _misuses(node: NodeProto, graph: TypedGraph, table: OperatorTable) -> Iterator[str]:
    for position in table.constant_operands.get(node.op_type, ()):
        name = node.input[position] if position < len(node.input) else ""
        if name and not _is_constant(name, graph):
            yield f"needs a constant {name}"
    rank = graph.ranks.get(node.input[0]) if node.input else None
    if rank is not None and rank not in table.ranks.get(node.op_type, (rank,)):
        yield f"is imported for rank {table.ranks[node.op_type]}, not for {rank}"
    if any(node.output[table.outputs.get(node.op_type, len(node.output)) :]):
        yield f"is imported with {table.outputs[node.op_type]} output"
    allowed = table.attributes.get(node.op_type, {})
    for attribute in node.attribute:
        value = _plain(onnx.helper.get_attribute_value(attribute))
        if value not in allowed.get(attribute.name, (value,)):
            yield f"is not imported with {attribute.name} {value}"


def _is_constant(name: str, graph: TypedGraph) -> bool:
    """Whether a tensor is a constant, possibly stored in quantized form."""
    if name in graph.constants:
        return True
    node = graph.producers.get(name)
    return (
        node is not None
        and node.op_type == "DequantizeLinear"
        and _is_constant(node.input[0], graph)
    )


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value
