"""Convert a captured program to `.tflite`, and read the file back as a check."""

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
"""Highest rank of a tensor that LiteRT's GPU delegate and most XNNPACK operators take.

The GPU delegate silently computes wrong attention if the batch is collapsed into rank 3
(google-ai-edge/litert-samples#283)."""

MAX_BYTES = 2**31
"""Largest `.tflite` file: the offsets of a FlatBuffer end there. Conversion starts from float32."""

_ROW = runtime_row("litert")
_CONVERTER = "litert-torch"


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert `NAME.pt2` to `NAME.tflite`; operators and shapes are read back from the file.

    Layout stays that of the graph contract (`image` is [1, 3, S, S]).

    Raises:
        GraphRejected: the program is too large for a `.tflite`, cannot be converted, or the
            interface of the file differs from the graph's.
        RuntimeMissing: LiteRT or the converter is not installed.
    """
    require_runtime(_ROW, target)
    converter = _require_converter()
    if (size := graph.path.stat().st_size) > MAX_BYTES:
        raise GraphRejected(
            f"The {graph.role} has {size / 1e9:.1f} GB of float32 weights.",
            expected=f"at most {MAX_BYTES / 1e9:.1f} GB, the limit of a .tflite file",
            next_step="take a smaller model (edgekit models), or a target of another runtime",
        )
    from edgekit.lowering.litert.conversion import tflite_from_program

    path = folder / f"{graph.path.stem}.tflite"
    try:
        path.write_bytes(tflite_from_program(graph, target.precision))
    except Exception as error:  # litert-torch 0.10 raises MLIR's diagnostics as any class
        raise GraphRejected(
            f"{_CONVERTER} {converter} cannot convert the {graph.role} program: {_cause(error)}",
            expected="a program of static shapes and operators that the converter lowers",
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
    """The version of the converter, a separate package that devices do not need."""
    try:
        return version(_CONVERTER)
    except PackageNotFoundError as error:
        raise RuntimeMissing(
            f"LiteRT's converter, {_CONVERTER}, is not installed.",
            next_step=install_command("litert-export"),
        ) from error


def _require_interface(written: TfliteFile, graph: Graph) -> None:
    for made, wanted in ((written.inputs, graph.inputs), (written.outputs, graph.outputs)):
        if made != tuple(sorted(wanted, key=_name)):
            raise GraphRejected(
                f"{_CONVERTER} made {_listed(made)} of the {graph.role}'s tensors.",
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
    """The first line of the message. MLIR prints operands after it."""
    return str(error).strip().partition("\n")[0][:300]
