"""Runtimes behind one Protocol, and the table of them.

A backend is a module, so that what differs between runtimes is data in a target and code in one
file. The modules import their runtime inside functions: reading the table costs nothing.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from edgekit.backends.installed import missing_runtime
from edgekit.errors import NotYet
from edgekit.records import (
    Artifact,
    Execution,
    Graph,
    GraphFormat,
    Precision,
    Probe,
    Session,
    Target,
)


class Backend(Protocol):
    """What a runtime's module offers."""

    def probe(self) -> Probe:
        """Whether the runtime is installed here, its version, and if not, why."""
        ...

    def execution(self, target: Target) -> Execution:
        """How this target's sessions run here: as on the device, or by a stand-in."""
        ...

    def lower(self, graph: Graph, target: Target, folder: Path) -> Artifact:
        """Write the runtime's files for one graph into `folder`, which exists.

        Paths in the result are relative to `folder`. The same graph gives the same bytes.

        Raises:
            RuntimeMissing: the runtime is not installed or not of a version the target accepts.
            GraphRejected: the runtime cannot read the graph.
        """
        ...

    def open_artifact(
        self, artifact: Artifact, folder: Path, target: Target, *, threads: int | None
    ) -> Session:
        """Load one artifact. `threads` None leaves the number of CPU threads to the runtime.

        The session's `run` raises BadInput when names, shapes or dtypes are not the artifact's.

        Raises:
            RuntimeMissing: as above.
            BundleCorrupt: the files are missing or the runtime cannot read them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """One line of the table: the module to import, or the reason why there is none yet.

    `takes` is the format of the graphs that its `lower` converts; `precisions` are those that
    edgekit can make for it so far, `planned` those that are decided node by node (others it applies
    throughout), `oldest_opset` bounds the ONNX that it can write for it.
    `applies_plan`: for these it is given a float32 program with its precision plan, not one that
    has it in its types (BF16: no ONNX that all read has types for it, Conv from opset 22).
    `folds_weights`: whether weights of INT8 are stored as integers in the program.
    """

    module: str | None = None
    takes: GraphFormat = "onnx"
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    planned: tuple[Precision, ...] = (Precision.FP16, Precision.INT8)
    oldest_opset: int = 1
    applies_plan: tuple[Precision, ...] = ()
    folds_weights: bool = True
    not_yet: str | None = None


BACKENDS: dict[str, BackendRow] = {
    "onnxruntime": BackendRow(
        module="edgekit.backends.onnxruntime", precisions=(Precision.FP32, Precision.INT8)
    ),
    "openvino": BackendRow(
        module="edgekit.backends.openvino",
        precisions=(Precision.FP32, Precision.BF16, Precision.INT8),
        planned=(Precision.BF16, Precision.INT8),
        applies_plan=(Precision.BF16,),
    ),
    "tensorrt": BackendRow(
        module="edgekit.backends.tensorrt",
        precisions=(Precision.FP16, Precision.INT8),
        oldest_opset=13,
    ),
    "coreml": BackendRow(
        module="edgekit.backends.coreml",
        takes="program",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        applies_plan=(Precision.FP16,),
    ),
    "litert": BackendRow(
        module="edgekit.backends.litert",
        takes="program",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        planned=(Precision.INT8,),
        folds_weights=False,
    ),
}


def backend(name: str) -> Backend:
    """The backend of a runtime, by the name that targets use.

    Raises:
        NotYet: edgekit has no backend of that name, or only plans one.
        RuntimeMissing: its package is not installed; the message names the extra.
    """
    found = _module(name)
    if not found.probe().available:
        raise missing_runtime(name)
    return found


def takes(name: str) -> GraphFormat:
    """The format of the graphs that this runtime's backend converts."""
    return BACKENDS[name].takes


def applies_plan(target: Target) -> bool:
    """Whether the backend wants the precision plan beside a float32 program."""
    return target.precision in BACKENDS[target.runtime].applies_plan


def folds_weights(name: str) -> bool:
    """Whether this runtime's backend wants the weights of INT8 as integers in the program."""
    return BACKENDS[name].folds_weights


def planned(target: Target) -> bool:
    """Whether the target's precision is decided node by node."""
    return target.precision in BACKENDS[target.runtime].planned


def not_yet(target: Target) -> str | None:
    """Why edgekit cannot export for this target so far, whatever is installed; None if it can."""
    row = BACKENDS[target.runtime]
    if row.module is None:
        return row.not_yet
    if target.precision not in row.precisions:
        return f"edgekit cannot make {target.precision} for {target.runtime} yet"
    if target.opset < row.oldest_opset:
        return f"{target.runtime} of opset {target.opset} needs a lowering of its own"
    return None


def probe(name: str) -> Probe:
    """What `backend(name)` would meet, as a record instead of an error: for tables."""
    try:
        return _module(name).probe()
    except NotYet as error:
        return Probe(available=False, reason=error.what)


def _module(name: str) -> Backend:
    row = BACKENDS.get(name)
    if row is None or row.module is None:
        why = row.not_yet if row else "it is not in the table of runtimes"
        ready = ", ".join(n for n, r in BACKENDS.items() if r.module)
        raise NotYet(
            f"Runtime {name!r} cannot be exported to yet: {why}.",
            expected=f"a target of one of these runtimes: {ready}",
            next_step="edgekit targets",
        )
    return cast(Backend, importlib.import_module(row.module))
