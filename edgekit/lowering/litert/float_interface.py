"""Make the inputs and outputs of an INT8 file float32, as the graph contract wants.

If the first operator quantizes the input, litert-torch 0.10 drops it and makes the input int8. It
does the same with a last DEQUANTIZE. A client would then have to know the scales.
"""

from __future__ import annotations

import copy
from typing import Any


def with_float_interface(model: bytes) -> bytes:
    """The same `.tflite` with a QUANTIZE after int8 inputs and a DEQUANTIZE before int8 outputs."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    graph, signature = content.subgraphs[0], content.signatureDefs[0]
    for tensors, entries, operator in (
        (graph.inputs, signature.inputs, schema.BuiltinOperator.QUANTIZE),
        (graph.outputs, signature.outputs, schema.BuiltinOperator.DEQUANTIZE),
    ):
        for place, coded in enumerate(tensors):
            if graph.tensors[coded].type != schema.TensorType.INT8:
                continue
            tensors[place] = plain = _float_twin(graph, coded, schema)
            for entry in entries:
                entry.tensorIndex = plain if entry.tensorIndex == coded else entry.tensorIndex
            step = schema.OperatorT()
            step.opcodeIndex = operator_code(content, operator, schema)
            entering = operator == schema.BuiltinOperator.QUANTIZE
            step.inputs, step.outputs = ([plain], [coded]) if entering else ([coded], [plain])
            graph.operators.insert(0 if entering else len(graph.operators), step)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _float_twin(graph: Any, coded: int, schema: Any) -> int:
    """Add a float32 tensor of the same shape, which takes over the name; return its index."""
    twin = copy.copy(graph.tensors[coded])
    twin.type, twin.quantization = schema.TensorType.FLOAT32, None
    graph.tensors[coded].name = twin.name + b"_coded"
    graph.tensors.append(twin)
    return len(graph.tensors) - 1


def operator_code(content: Any, operator: int, schema: Any) -> int:
    """The index of an operator in the file's list of operators; it is added if missing."""
    codes = content.operatorCodes
    for index, code in enumerate(codes):
        if code.builtinCode == operator:
            return index
    added = schema.OperatorCodeT()
    added.builtinCode = added.deprecatedBuiltinCode = operator
    added.version = 1
    codes.append(added)
    return len(codes) - 1
