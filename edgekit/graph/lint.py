"""Check an ONNX graph against a table of rules: what edge compilers reject.

Each rule has a reason: the compiler that rejects the graph, and the thread where users met it. The
rules hold for every target, so that one graph serves all runtimes. A target adds `forbidden_ops`.
Its runtime adds the operators that each version imports (`operators/`) and the form of INT8
(`symmetric_int8`).

The rules accept int64 tensors made by Shape and moved by Gather, Slice, Concat, Squeeze and
Unsqueeze, if their only use is the shape operand of Expand, Reshape, ConstantOfShape, Slice, Split
or Pad. TensorRT evaluates these as shape tensors from 8 on (int32 inside), and a decoder with
dynamic prompts needs one Shape -> Concat -> Expand to broadcast its own tokens. Arithmetic on such
tensors is rejected: `passes/constant_reshape.py` removes what the exporter adds, and Core ML and
LiteRT do not support it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from edgekit.errors import GraphRejected
from edgekit.graph import symmetric_int8
from edgekit.graph.operators import OperatorTable, breaches, tables_for
from edgekit.graph.typed_graph import TypedGraph, typed_graph
from edgekit.records import Target

MAX_RANK = 5

# fmt: off
_ARITHMETIC = frozenset({
    "Abs", "Add", "BitShift", "CumSum", "Div", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pow",
    "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Sign", "Sub", "Sum",
})
# fmt: on
_MOVES_SHAPES = frozenset({"Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"})
# Operator -> position of the first operand that is a shape, axes or bounds.
_SHAPE_OPERAND = {"Expand": 1, "Reshape": 1, "ConstantOfShape": 0, "Slice": 1, "Split": 1, "Pad": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One breach of a rule; `node` is the operator and its first output."""

    rule: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`breaches` yields the offending nodes, each with a detail or ""."""

    id: str
    reason: str
    breaches: Callable[[TypedGraph], Iterable[tuple[onnx.NodeProto, str]]]


def lint_file(path: Path, target: Target) -> tuple[Finding, ...]:
    """`lint` of an ONNX file. External weights are not read."""
    return lint(onnx.load(path, load_external_data=False), target)


def lint(model: onnx.ModelProto, target: Target) -> tuple[Finding, ...]:
    """All breaches of the rules, the runtime's operator tables, and the target's own list."""
    graph = typed_graph(model)
    findings = [
        Finding(rule=rule.id, node=_place(node, detail), reason=rule.reason)
        for rule in RULES
        for node, detail in rule.breaches(graph)
    ]
    findings += [
        Finding(
            rule=f"forbidden-by-{target.name}",
            node=_place(node, ""),
            reason=target.forbidden_ops[node.op_type],
        )
        for node in graph.nodes
        if node.op_type in target.forbidden_ops
    ]
    tables = tables_for(target)
    findings += [finding for table in tables for finding in _table_breaches(graph, table)]
    if any(table.quantization == "symmetric_int8" for table in tables):
        findings += [
            Finding(rule="symmetric-int8", node=_place(node, ""), reason=problem)
            for node, problem in symmetric_int8.breaches(graph)
        ]
    return tuple(findings)


def _table_breaches(graph: TypedGraph, table: OperatorTable) -> Iterator[Finding]:
    """What one version of the runtime would reject."""
    version = f"{table.runtime}-{table.version}"
    if graph.opset > table.newest_opset:
        yield Finding(
            rule=version, node=f"opset {graph.opset}", reason=f"newer than {table.newest_opset}"
        )
    for node, problem in breaches(graph, table):
        yield Finding(rule=version, node=_place(node, ""), reason=f"{problem} ({table.source})")


def reject_findings(findings: Iterable[Finding], *, graph: str) -> None:
    """Raise `GraphRejected` with all findings listed, if there are any."""
    lines = [f"  [{f.rule}] {f.node}: {f.reason}" for f in findings]
    if lines:
        raise GraphRejected(
            "\n".join([f"The {graph} graph breaks {len(lines)} rule(s) of its target:", *lines]),
            expected="a graph that every compiler of the target accepts",
            next_step="change the model definition or add a pass in edgekit/graph/passes",
        )


def _place(node: onnx.NodeProto, detail: str) -> str:
    place = f"{node.op_type} -> {node.output[0]}"
    return f"{place} ({detail})" if detail else place


# --- predicates --------------------------------------------------------------------------------


def _operators(*names: str) -> Callable[[TypedGraph], Iterator[tuple[onnx.NodeProto, str]]]:
    def breaches(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
        return ((node, "") for node in graph.nodes if node.op_type in names)

    return breaches


def _computed_repeats(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        if node.op_type == "Tile" and node.input[1] not in graph.constants:
            yield node, f"repeats from {node.input[1]}"


def _int64_arithmetic(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        if node.op_type in _ARITHMETIC:
            operands = graph.inputs_of_type(node, TensorProto.INT64)
            # ReduceSum and others take their axes as an int64 operand; data is the first operand.
            if operands and operands[0] == node.input[0]:
                yield node, f"on {', '.join(operands)}"


def _int64_as_data(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node, name in graph.computed(TensorProto.INT64):
        if name in graph.outputs:
            yield node, "is a graph output"
        for reader, position in graph.readers.get(name, ()):
            if not _is_shape_use(reader, position) and reader.op_type not in _ARITHMETIC:
                yield node, f"read by {reader.op_type} -> {reader.output[0]}"


def _is_shape_use(reader: onnx.NodeProto, position: int) -> bool:
    if reader.op_type in _SHAPE_OPERAND and position >= _SHAPE_OPERAND[reader.op_type]:
        return True
    return reader.op_type in _MOVES_SHAPES and not (reader.op_type == "Gather" and position == 1)


def _float64(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        if graph.inputs_of_type(node, TensorProto.DOUBLE):
            yield node, ""


def _rank(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        for name in node.output:
            if graph.ranks.get(name, 0) > MAX_RANK:
                yield node, f"rank {graph.ranks[name]}"


def _unknown_rank(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        for name in node.output:
            if name and name not in graph.ranks:
                yield node, f"rank of {name} unknown"


def _other_domain(graph: TypedGraph) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield node, f"domain {node.domain}"


RULES: tuple[Rule, ...] = (
    Rule(
        id="no-onehot",
        reason="TensorRT: 'IIOneHotLayer cannot be used to compute a shape tensor'"
        " (NVIDIA-AI-IOT/nanosam#16, #40 with 10.3; repeat_interleave makes them)",
        breaches=_operators("OneHot"),
    ),
    Rule(
        id="no-tile-of-shape",
        reason="repeats from a shape tensor do not build in TensorRT 8.2 to 10.3"
        " (NVIDIA-AI-IOT/nanosam#6, mit-han-lab/efficientvit#78); broadcast or Expand instead",
        breaches=_computed_repeats,
    ),
    Rule(
        id="no-range",
        reason="TensorRT 8 has no int64 Range, and its size would depend on data"
        " (NVIDIA-AI-IOT/nanosam#6); bake the positions",
        breaches=_operators("Range"),
    ),
    Rule(
        id="no-nonzero",
        reason="the output size depends on data: TensorRT needs an output allocator, and Core ML,"
        " LiteRT and CUDA graphs have none; compare and multiply instead",
        breaches=_operators("NonZero", "Where1D", "Compress", "Unique"),
    ),
    Rule(
        id="no-control-flow",
        reason="TensorRT 8.2 needs equal shapes in both branches of If, and LiteRT delegates do not"
        " take it (SAM 2's scripted export emits If)",
        breaches=_operators("If", "Loop", "Scan"),
    ),
    Rule(
        id="no-mod",
        reason="TensorRT 8 has no importer for Mod (NVIDIA/TensorRT#2968)",
        breaches=_operators("Mod"),
    ),
    Rule(
        id="no-int64-arithmetic",
        reason="TensorRT before 10 has no int64 tensors; casting to int32 fails inside fused nodes"
        " ('no implementation for ForeignNode', NVIDIA-AI-IOT/nanosam#6)",
        breaches=_int64_arithmetic,
    ),
    Rule(
        id="no-int64-data",
        reason="a computed int64 tensor may only be a shape (NVIDIA-AI-IOT/nanosam#16 and"
        " ryouchinsa/sam-cpp-macos#12 failed on labels as Gather indices)",
        breaches=_int64_as_data,
    ),
    Rule(
        id="no-float64",
        reason="TensorRT, Core ML and LiteRT have no float64",
        breaches=_float64,
    ),
    Rule(
        id="rank",
        reason=f"Core ML takes at most rank {MAX_RANK} (apple/coremltools#1723, #2291)",
        breaches=_rank,
    ),
    Rule(
        id="known-rank",
        reason="a tensor of unknown rank cannot be checked, and TensorRT rejects it",
        breaches=_unknown_rank,
    ),
    Rule(
        id="standard-operators",
        reason="operators of a vendor's domain run on that vendor's runtime only",
        breaches=_other_domain,
    ),
)
