"""The interface and operators of a `.tflite` file, read back from the file itself.

Format: google-ai-edge/LiteRT, tflite/converter/schema/schema.fbs. The reader is generated from it
and ships with ai-edge-litert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.records import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteFile:
    """The only signature of a file, sorted by name, and the operators of all its subgraphs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    """Counts by LiteRT's names, such as "CONV_2D"."""
    max_rank: int
    """The highest rank of any tensor."""


def read_tflite(path: Path) -> TfliteFile:
    """Read a file that the converter has just written. Not safe for files from elsewhere."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    signature, graph = model.SignatureDefs(0), model.Subgraphs(0)
    types = {code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()}
    operators = {code: name for name, code in vars(schema.BuiltinOperator).items()}

    def specs(entry: Any, length: int) -> tuple[TensorSpec, ...]:
        entries = ((entry(i).Name().decode(), entry(i).TensorIndex()) for i in range(length))
        return tuple(
            TensorSpec(
                name=name, dtype=types[graph.Tensors(index).Type()], shape=_shape(graph, index)
            )
            for name, index in sorted(entries)
        )

    return TfliteFile(
        inputs=specs(signature.Inputs, signature.InputsLength()),
        outputs=specs(signature.Outputs, signature.OutputsLength()),
        ops=dict(sorted(Counter(operators[code] for code in _operator_codes(model)).items())),
        max_rank=max(len(_shape(graph, index)) for index in range(graph.TensorsLength())),
    )


def _shape(graph: Any, index: int) -> tuple[int, ...]:
    tensor = graph.Tensors(index)
    return tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))


def _operator_codes(model: Any) -> Iterator[int]:
    codes = [_builtin_code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for index in range(graph.OperatorsLength()):
            yield codes[graph.Operators(index).OpcodeIndex()]


def _builtin_code(code: Any) -> int:
    # The schema's first field is one byte. A second field was added when the byte was full, and
    # writers fill one or the other.
    return max(int(code.DeprecatedBuiltinCode()), int(code.BuiltinCode()))
