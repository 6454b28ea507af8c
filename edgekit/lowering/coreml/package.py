"""Convert a captured program `NAME.pt2` to `NAME.mlpackage`, and read it back as a check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import GraphRejected
from edgekit.records import Artifact, Graph, Target, TensorSpec
from edgekit.runtimes.installed import require_runtime
from edgekit.store import digest_file

if TYPE_CHECKING:
    from edgekit.emulation.mil.package import Declared, MilProgram

_ROW = runtime_row("coreml")


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert, read back, and check the interface.

    Raises:
        RuntimeMissing: coremltools is not installed, or of another version.
        GraphRejected: coremltools cannot convert the program (it refuses ranks above 5, which Core
            ML cannot run), or the interface of the package differs from the graph's.
    """
    installed = require_runtime(_ROW, target)
    from edgekit.emulation.mil.package import read_package
    from edgekit.lowering.coreml.conversion import write_package

    path = folder / f"{graph.path.stem}.mlpackage"
    try:
        write_package(graph, target, path)
    except Exception as error:  # coremltools 9.0 has no exception class of its own
        raise GraphRejected(
            f"coremltools {installed} cannot convert the {graph.role}: {_first_line(error)}",
            expected="a program of static shapes and operators that coremltools knows",
        ) from error
    written = read_package(path)
    _require_interface(written, graph)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return Artifact(
        role=graph.role,
        format="mlpackage",
        entry=path.name,
        files=tuple(digest_file(file, folder) for file in files),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=dict(sorted(Counter(step.operator for step in written.steps).items())),
    )


def _require_interface(written: MilProgram, graph: Graph) -> None:
    for made, wanted in ((written.inputs, graph.inputs), (written.outputs, graph.outputs)):
        specs = tuple(_spec(tensor) for tensor in made)
        if specs != wanted:
            raise GraphRejected(f"coremltools made {_listed(specs)}.", expected=_listed(wanted))


def _spec(tensor: Declared) -> TensorSpec:
    dtype = {"fp32": "float32", "fp16": "float16"}.get(tensor.dtype, tensor.dtype)
    shape = tuple("?" if size is None else size for size in tensor.shape)
    return TensorSpec(name=tensor.name, dtype=dtype, shape=shape)


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
