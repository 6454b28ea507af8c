"""Give the dynamic dimensions of inputs and outputs their names from the graph contract.

The exporter uses torch's symbols ("s20") for them.
"""

from __future__ import annotations

import onnx

from edgekit.errors import GraphRejected
from edgekit.program.capture import Program
from edgekit.records import TensorSpec


def name_dimensions(model: onnx.ModelProto, program: Program) -> onnx.ModelProto:
    """A copy with named dimensions.

    Raises:
        GraphRejected: names, types or fixed sizes differ from the program's interface.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for kind, values, specs in (
        ("inputs", result.graph.input, program.inputs),
        ("outputs", result.graph.output, program.outputs),
    ):
        if [v.name for v in values] != [s.name for s in specs]:
            raise GraphRejected(
                f"The {program.role} graph's {kind} are {', '.join(v.name for v in values)}.",
                expected=", ".join(s.name for s in specs),
            )
        for value, spec in zip(values, specs, strict=True):
            _name_dimensions(value, spec)
    return result


def _name_dimensions(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    tensor = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    wanted = [d if isinstance(d, int) else None for d in spec.shape]
    if tensor.elem_type != onnx.TensorProto.FLOAT or sizes != wanted:
        raise GraphRejected(
            f"{value.name} is of type {tensor.elem_type} with sizes {sizes} in the ONNX graph.",
            expected=f"float32 {spec.shape}",
        )
    for dim, name in zip(tensor.shape.dim, spec.shape, strict=True):
        if isinstance(name, str):
            dim.dim_param = name
