"""Large weights in a file beside the ONNX model ("external data").

One ONNX file holds at most 2 GB, and SAM's ViT-H has 2.5 GB of weights. Below that, weights inside
the model cost memory: every pass and the shape inference copy the whole model, some more than once.
So the large weights leave the model before the passes. In the meantime they are inputs of the
graph, with their names and shapes. They return as initializers that point into the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir

LIMIT = 500_000_000
"""Bytes of weights up to which a model stays one file."""
LIGHT = 1 << 20
"""Bytes of a tensor that always stays in the model: passes read the values of small tensors."""
_ALIGNMENT = 4096  # a page, so that runtimes can map the file

Weights = Mapping[str, ir.TensorProtocol]


def take_out_weights(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Remove the large weights from the model, in place, if one file cannot hold them all."""
    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
    if sum(tensor.nbytes for tensor in weights.values()) <= LIMIT:
        return {}
    large = {name: tensor for name, tensor in weights.items() if tensor.nbytes > LIGHT}
    for name in large:
        value = model.graph.initializers.pop(name)
        value.const_value = None
        model.graph.inputs.append(value)
    return large


def put_back_weights(model: onnx.ModelProto, weights: Weights, path: Path) -> onnx.ModelProto:
    """Return the model with its weights as pointers into `path`, which is written here.

    The model is edited in place. It stores the digest of the file, so that other weights give
    another model.
    """
    if not weights:
        return model
    inputs = [value for value in model.graph.input if value.name not in weights]
    used = {value.name for value in model.graph.input} & weights.keys()
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        # Unused tensors are those that the simplifier has removed.
        for name in sorted(used):
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            content = weights[name].tobytes()
            model.graph.initializer.append(_pointer(name, weights[name], path, file.tell()))
            digest.update(content)
            file.write(content)
    # set_model_props replaces all metadata of the model.
    onnx.helper.set_model_props(model, {"weights_sha256": digest.hexdigest()})
    return model


def _pointer(name: str, tensor: ir.TensorProtocol, path: Path, offset: int) -> onnx.TensorProto:
    pointer = onnx.TensorProto(
        name=name,
        dims=[int(size) for size in tensor.shape.numpy()],
        data_type=int(tensor.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    entries = {"location": path.name, "offset": offset, "length": tensor.nbytes}
    for key, value in entries.items():
        pointer.external_data.add(key=key, value=str(value))
    return pointer
