"""Drop what says how and where the graph was made, so that only the model decides the bytes.

torch.onnx.export (2.13) stores stack traces with this machine's paths in every node, notes of its
own tools, and torch's names of dynamic dimensions in every annotation.
"""

from __future__ import annotations

import onnx


def drop_origins(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without metadata, doc strings and annotations of intermediate tensors."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.metadata_props[:]
    del result.graph.metadata_props[:]
    del result.graph.value_info[:]
    for entry in (*result.graph.node, *result.graph.input, *result.graph.output):
        entry.doc_string = ""
        del entry.metadata_props[:]
    return result


def has_origins(model: onnx.ModelProto) -> bool:
    """Whether a node still tells where it comes from."""
    return any(node.doc_string or node.metadata_props for node in model.graph.node)
