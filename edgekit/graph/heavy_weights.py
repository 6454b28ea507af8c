"""Weights that do not fit into one ONNX file: protobuf takes 2 GB, SAM's ViT-H has 2.5.

ONNX then keeps tensors in a file beside the model ("external data"). While the graph is rewritten
they are out of it altogether: every pass, and the simplifier above all, serialises the whole model.
They leave as inputs of the graph, keep their names and shapes, and come back as initializers that
point into the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir

LIMIT = 1_900_000_000
"""Bytes of weights up to which a model stays one file; the graph itself takes some of the 2 GB."""
LIGHT = 1 << 20
"""Bytes of a tensor that stays in the model in any case: passes read the values of small ones."""
_ALIGNMENT = 4096  # a page, so that runtimes can map the file

Heavy = Mapping[str, ir.TensorProtocol]


def detached(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Take the large weights out of a model, in place, if they are too many for one file."""
    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
    if sum(tensor.nbytes for tensor in weights.values()) <= LIMIT:
        return {}
    heavy = {name: tensor for name, tensor in weights.items() if tensor.nbytes > LIGHT}
    for name in heavy:
        value = model.graph.initializers.pop(name)
        value.const_value = None
        model.graph.inputs.append(value)
    return heavy


def attach(model: onnx.ModelProto, heavy: Heavy, path: Path) -> None:
    """Give a model its weights back, in place, as pointers into a file that is written here.

    The file's digest goes into the model, so that other weights make another model.
    """
    if not heavy:
        return
    inputs = [value for value in model.graph.input if value.name not in heavy]
    kept = {value.name for value in model.graph.input} & heavy.keys()
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for name in sorted(kept):
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            content = heavy[name].tobytes()
            model.graph.initializer.append(_pointer(name, heavy[name], path, file.tell()))
            digest.update(content)
            file.write(content)
    onnx.helper.set_model_props(model, {"weights_sha256": digest.hexdigest()})


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
