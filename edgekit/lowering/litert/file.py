"""Captured program to `.tflite`, checked by reading the file back."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgekit.catalog.runtimes import install_command, runtime_row
from edgekit.errors import GraphRejected, RuntimeMissing
from edgekit.lowering.litert.flatbuffer import TfliteFile, read_tflite
from edgekit.records import Artifact, Graph, Target, TensorSpec
from edgekit.runtimes.installed import require_runtime
from edgekit.store import digest_file

MAX_RANK = 4
"""Of any tensor: LiteRT's GPU delegate and most of XNNPACK's operators stop there."""

MAX_BYTES = 2**31
"""Of a `.tflite` file: a FlatBuffer's offsets end there. The converter starts from float32."""

_ROW = runtime_row("litert")
_CONVERTER = "litert-torch"


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert `NAME.pt2` to `NAME.tflite`; operators and shapes are read back from the file.

    Layout stays that of the graph contract (`image` is [1, 3, S, S]).

    Raises:
        GraphRejected: too large for a `.tflite`, not convertible, or other than asked for.
        RuntimeMissing: LiteRT or the converter is not installed.
    """
    require_runtime(_ROW, target)
    converter = _require_converter()
    if (size := graph.path.stat().st_size) > MAX_BYTES:
        raise GraphRejected(
            f"The {graph.role} has {size / 1e9:.1f} GB of float32 weights.",
            expected=f"at most {MAX_BYTES / 1e9:.1f} GB, all that a .tflite file can hold",
            next_step="take a smaller model (edgekit models), or a target of another runtime",
        )
    from edgekit.lowering.litert.conversion import tflite_from_program

    path = folder / f"{graph.path.stem}.tflite"
    try:
        path.write_bytes(tflite_from_program(graph, target.precision))
    except Exception as error:  # MLIR's diagnostics come as whatever class is at hand
        raise GraphRejected(
            f"{_CONVERTER} {converter} cannot convert the {graph.role} program: {_cause(error)}",
            expected="a static program of operators that it lowers",
        ) from error
    written = read_tflite(path)
    _require_interface(written, graph)
    return Artifact(
        role=graph.role,
        format="tflite",
        entry=path.name,
        files=(digest_file(path, folder),),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=written.ops,
    )


def _require_converter() -> str:
    """The converter's version: a package of its own, which devices do without."""
    try:
        return version(_CONVERTER)
    except PackageNotFoundError as error:
        raise RuntimeMissing(
            f"LiteRT's converter, {_CONVERTER}, is not installed.",
            next_step=install_command("litert-export"),
        ) from error


def _require_interface(written: TfliteFile, graph: Graph) -> None:
    for found, wanted in ((written.inputs, graph.inputs), (written.outputs, graph.outputs)):
        if found != tuple(sorted(wanted, key=_name)):
            raise GraphRejected(
                f"{_CONVERTER} made {_listed(found)} of the {graph.role}'s tensors.",
                expected=_listed(wanted),
            )
    if written.max_rank > MAX_RANK:
        raise GraphRejected(
            f"{_CONVERTER} wrote a tensor of rank {written.max_rank} into the {graph.role}.",
            expected=f"at most rank {MAX_RANK}, which LiteRT's delegates take",
        )


def _name(spec: TensorSpec) -> str:
    return spec.name


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)


def _cause(error: Exception) -> str:
    """The first line, without the operands that MLIR prints after it."""
    return str(error).strip().partition("\n")[0][:300]
