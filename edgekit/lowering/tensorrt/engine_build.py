"""The settings for building one engine: shapes, memory, and nodes that must stay FP32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.catalog.options import WORKSPACE, rising_numbers
from edgekit.records import Artifact, Target, TensorSpec

Bounds = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Shapes of an input: smallest, usual (the one that kernels are tuned for) and largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """How to build the engine of one part (encoder or decoder)."""

    part: str
    workspace_mb: int
    shapes: dict[str, Bounds]
    """The optimization profile: inputs with a dynamic dimension."""
    fp32_nodes: tuple[str, ...]
    """ONNX nodes that compute in float32 in a graph with float16 tensors. Only TensorRT 8 needs
    the list; later versions follow the types."""

    @property
    def onnx(self) -> str:
        return f"{self.part}.onnx"

    @property
    def engine(self) -> str:
        return f"{self.part}.engine"


def engine_build(artifact: Artifact, target: Target, folder: Path) -> EngineBuild:
    """The settings for one part, from the target's options and the types in its file.

    Raises:
        BadInput: an option is missing or malformed.
    """
    return EngineBuild(
        part=artifact.role,
        workspace_mb=rising_numbers(target, WORKSPACE, 1)[0],
        shapes={
            spec.name: _bounds(spec, target)
            for spec in artifact.inputs
            if any(isinstance(dim, str) for dim in spec.shape)
        },
        fp32_nodes=_fp32_nodes(folder / artifact.entry),
    )


def _bounds(spec: TensorSpec, target: Target) -> Bounds:
    """Bounds from the options named like the dynamic dimensions: "smallest usual largest"."""
    smallest, usual, largest = (
        tuple(d if isinstance(d, int) else rising_numbers(target, d, 3)[which] for d in spec.shape)
        for which in range(3)
    )
    return smallest, usual, largest


def _fp32_nodes(file: Path) -> tuple[str, ...]:
    import onnx

    from edgekit.graph.typed_graph import typed_graph

    graph = typed_graph(onnx.load(file, load_external_data=False))
    if not any(graph.computed(onnx.TensorProto.FLOAT16)):
        return ()
    names = (
        node.name
        for node, _ in graph.computed(onnx.TensorProto.FLOAT)
        if node.op_type != "Cast"  # TensorRT obeys the type of a Cast anyway
    )
    return tuple(dict.fromkeys(names))
