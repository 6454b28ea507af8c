"""Write products of two computed tensors as the operator that XNNPACK takes.

litert-torch 0.10 writes a batch matrix product of batch 1 as FULLY_CONNECTED, with the right side
transposed as its weight. XNNPACK takes constant weights only (LiteRT 2.1), so the product runs
outside, and the graph is cut there: NanoSAM's decoder into seven parts.
"""

from __future__ import annotations

from typing import Any

from edgekit.lowering.litert.float_interface import operator_code


def with_xnnpack_products(model: bytes) -> bytes:
    """The same `.tflite`; each float product with a computed weight is a BATCH_MATMUL."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    graph = content.subgraphs[0]
    computed = {*graph.inputs, *(result for step in graph.operators for result in step.outputs)}
    for step in graph.operators:
        if _is_product(content, step, schema) and step.inputs[1] in computed:
            _make_batch_product(content, step, schema)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _is_product(content: Any, step: Any, schema: Any) -> bool:
    """Whether it is a float32 FULLY_CONNECTED without a bias and an activation."""
    code = content.operatorCodes[step.opcodeIndex].builtinCode
    if code != schema.BuiltinOperator.FULLY_CONNECTED:
        return False
    plain = step.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.NONE
    has_bias = len(step.inputs) > 2 and step.inputs[2] >= 0
    types = {content.subgraphs[0].tensors[tensor].type for tensor in step.inputs[:2]}
    return plain and not has_bias and types == {schema.TensorType.FLOAT32}


def _make_batch_product(content: Any, step: Any, schema: Any) -> None:
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = False, True
    step.opcodeIndex = operator_code(content, schema.BuiltinOperator.BATCH_MATMUL, schema)
    step.inputs = step.inputs[:2]
    step.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
    step.builtinOptions = options
