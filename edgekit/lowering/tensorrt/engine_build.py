"""How the engine of one part is built: shapes, memory, and what must not run in FP16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.catalog.options import WORKSPACE, rising_numbers
from edgekit.records import Artifact, Target, TensorSpec

Bounds = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The smallest, the usual (that kernels are chosen for) and the largest shape of an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """`shapes` of the inputs with a dynamic dimension: the optimization profile.

    `fp32_nodes` are ONNX nodes that compute in float32 in a graph that has float16 tensors. Only
    TensorRT 8 has to be told: later versions read it off the types.
    """

    part: str
    workspace_mb: int
    shapes: dict[str, Bounds]
    fp32_nodes: tuple[str, ...]

    @property
    def onnx(self) -> str:
        return f"{self.part}.onnx"

    @property
    def engine(self) -> str:
        return f"{self.part}.engine"


def engine_build(artifact: Artifact, target: Target, folder: Path) -> EngineBuild:
    """The build of one part, from the target's options and the types in its file.

    Raises:
        BadInput: an option is missing or not of its form.
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
    """Each dynamic dimension is the name of an option: "smallest usual largest"."""
    smallest, usual, largest = (
        tuple(d if isinstance(d, int) else rising_numbers(target, d, 3)[which] for d in spec.shape)
        for which in range(3)
    )
    return smallest, usual, largest


def _fp32_nodes(file: Path) -> tuple[str, ...]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    if onnx.TensorProto.FLOAT16 not in types.values():
        return ()
    return tuple(
        node.name
        for node in graph.node
        if node.op_type != "Cast"  # obeyed anyhow: it is what a Cast is for
        and any(types.get(name) == onnx.TensorProto.FLOAT for name in node.output)
    )
