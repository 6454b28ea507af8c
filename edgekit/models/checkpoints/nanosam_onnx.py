"""Reads the weights of NanoSAM's published encoder, an ONNX file, by its topology.

The exporter folded batch norm into the convolutions and renamed the initializers, so only the order
of the graph tells the convolutions apart: the trunk is one chain, and a strided 1x1 convolution is
a block's shortcut. Batch norm is restored as the identity with the folded bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgekit.errors import CheckpointMismatch

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

BATCH_NORM_EPSILON = 1e-5

_BLOCKS = tuple(f"backbone.layer{stage}.{block}" for stage in range(1, 5) for block in range(2))
# (convolution, its batch norm) along the chain; the head has no batch norm.
_CHAIN: tuple[tuple[str, str | None], ...] = (
    ("backbone.conv1", "backbone.bn1"),
    *((f"{block}.conv{i}", f"{block}.bn{i}") for block in _BLOCKS for i in (1, 2)),
    *((name, None) for name in ("up_1.0", "up_1.2", "up_1.4", "proj.0", "proj.2")),
)
_SHORTCUTS = tuple(f"backbone.layer{stage}.0.downsample" for stage in range(2, 5))


class Convolution(NamedTuple):
    """A convolution of the file, with the batch norm that follows it if it was not folded."""

    weight: np.ndarray
    bias: np.ndarray | None
    strided: bool
    norm: tuple[np.ndarray, ...] | None  # scale, shift, mean, variance


def encoder_tensors(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors, under the names of NanoSAM's training checkpoint.

    Raises:
        CheckpointMismatch: the graph is not NanoSAM's ResNet18 encoder.
    """
    import torch

    graph = _read_graph(path)
    constants = _constants(graph)
    convolutions = _convolutions(graph, constants, "Conv")
    shortcuts = [c for c in convolutions if c.strided and c.weight.shape[2:] == (1, 1)]
    chain = [c for c in convolutions if not (c.strided and c.weight.shape[2:] == (1, 1))]
    transposed = _convolutions(graph, constants, "ConvTranspose")
    positions = [a for a in constants.values() if a.shape[:2] == (1, 256) and a.ndim == 4]
    counts = (len(chain), len(shortcuts), len(transposed), len(positions))
    if counts != (len(_CHAIN), len(_SHORTCUTS), 1, 1):
        raise CheckpointMismatch(
            f"{path.name} is an ONNX graph, but not NanoSAM's ResNet18 encoder.",
            expected=f"{len(_CHAIN)} + {len(_SHORTCUTS)} convolutions, one transposed, one "
            f"position table; found {counts}",
            next_step="--weights resnet18_image_encoder.onnx --weights mobile_sam.pt",
        )
    arrays: dict[str, np.ndarray] = {"pos_embedding": positions[0]}
    for (name, norm), convolution in zip(_CHAIN, chain, strict=True):
        arrays |= _named_arrays(name, norm, convolution)
    for name, convolution in zip(_SHORTCUTS, shortcuts, strict=True):
        arrays |= _named_arrays(f"{name}.0", f"{name}.1", convolution)
    arrays |= _named_arrays("up_1.6", None, transposed[0])
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _read_graph(path: Path) -> onnx.GraphProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        # Not external data: a hostile file could name any file on the machine. NanoSAM's has none.
        return onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, OSError, ValueError) as error:
        raise CheckpointMismatch(
            f"{path.name} is damaged or is not an ONNX file.", expected="NanoSAM's encoder"
        ) from error


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer if not t.external_data}
    for node in graph.node:
        if node.op_type == "Constant":
            for value in (a.t for a in node.attribute if a.name == "value"):
                arrays[node.output[0]] = numpy_helper.to_array(value)
        elif node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    return arrays


def _convolutions(
    graph: onnx.GraphProto, constants: dict[str, np.ndarray], op: str
) -> list[Convolution]:
    """The convolutions in the order of the graph, which ONNX requires to be topological."""
    norms = {n.input[0]: n.input[1:] for n in graph.node if n.op_type == "BatchNormalization"}
    result = []
    for node in graph.node:
        if node.op_type != op or any(name not in constants for name in node.input[1:]):
            continue
        strides = [list(a.ints) for a in node.attribute if a.name == "strides"]
        norm = norms.get(node.output[0])
        result.append(
            Convolution(
                weight=constants[node.input[1]],
                bias=constants[node.input[2]] if len(node.input) > 2 else None,
                strided=bool(strides) and strides[0][0] > 1,
                norm=tuple(constants[name] for name in norm) if norm else None,
            )
        )
    return result


def _named_arrays(name: str, norm: str | None, convolution: Convolution) -> dict[str, np.ndarray]:
    arrays = {f"{name}.weight": convolution.weight}
    channels = convolution.weight.shape[0]
    bias = np.zeros(channels, np.float32) if convolution.bias is None else convolution.bias
    if norm is None:
        return arrays | {f"{name}.bias": bias}
    ones = np.ones(channels, np.float32)
    folded = (ones, bias, 0 * ones, ones - np.float32(BATCH_NORM_EPSILON))
    parts = ("weight", "bias", "running_mean", "running_var")
    arrays |= {
        f"{norm}.{part}": value
        for part, value in zip(parts, convolution.norm or folded, strict=True)
    }
    return arrays | {f"{norm}.num_batches_tracked": np.array(0, np.int64)}
