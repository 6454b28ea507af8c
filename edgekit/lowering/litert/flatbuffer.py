"""What a `.tflite` file holds, read from the file and not from whoever wrote it.

Format: google-ai-edge/LiteRT, tflite/converter/schema/schema.fbs. The reader is the one that
ai-edge-litert generates from it and ships.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.records import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteFile:
    """The interface of the only signature, sorted by name, and the operators of all subgraphs.

    `ops` are counted by LiteRT's own names (`CONV_2D`), `integer_ops` those of them that read codes
    and put out codes; `max_rank` is that of any tensor.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    integer_ops: dict[str, int]
    max_rank: int


def read_tflite(path: Path) -> TfliteFile:
    """Read a file that the converter has just written; nothing is checked against hostile bytes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    signature, graph = model.SignatureDefs(0), model.Subgraphs(0)
    types = {code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()}

    operators = [*_operators(model, names={v: k for k, v in vars(schema.BuiltinOperator).items()})]

    def specs(entry: Any, length: int) -> tuple[TensorSpec, ...]:
        found = ((entry(i).Name().decode(), entry(i).TensorIndex()) for i in range(length))
        return tuple(
            TensorSpec(
                name=name, dtype=types[graph.Tensors(index).Type()], shape=_shape(graph, index)
            )
            for name, index in sorted(found)
        )

    return TfliteFile(
        inputs=specs(signature.Inputs, signature.InputsLength()),
        outputs=specs(signature.Outputs, signature.OutputsLength()),
        ops=_counted(name for name, _ in operators),
        integer_ops=_counted(
            name for name, types in operators if types == {schema.TensorType.INT8}
        ),
        max_rank=max(len(_shape(graph, index)) for index in range(graph.TensorsLength())),
    )


def _shape(graph: Any, index: int) -> tuple[int, ...]:
    tensor = graph.Tensors(index)
    return tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))


def _operators(model: Any, *, names: dict[int, str]) -> Iterator[tuple[str, set[int]]]:
    """Each operator's name, and the types of its first input and output."""
    codes = [_builtin(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for step in (graph.Operators(i) for i in range(graph.OperatorsLength())):
            ends = (step.Inputs(0), step.Outputs(0))
            yield names[codes[step.OpcodeIndex()]], {graph.Tensors(i).Type() for i in ends}


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _builtin(code: Any) -> int:
    """The first field is one byte; a second was added when it was full, and writers fill either."""
    return max(int(code.DeprecatedBuiltinCode()), int(code.BuiltinCode()))
