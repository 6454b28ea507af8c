"""Make a runtime's files from a graph or captured program and its precision plan.

One module per runtime, behind the `Lowering` protocol. Running the files is the job of `runtimes`
and `emulation`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from edgekit.catalog.runtimes import install_command, runtime_row, unsupported
from edgekit.errors import NotYet
from edgekit.records import Artifact, Graph, Target
from edgekit.runtimes.installed import missing_runtime, probe_package, probe_row

_EXPORTER = "torch"
"""The distribution in the extra `export` whose absence stops every export."""


class Lowering(Protocol):
    """The interface of a runtime's module."""

    def lower(self, graph: Graph, target: Target, folder: Path) -> Artifact:
        """Write the runtime's files for one graph into `folder`, which exists.

        Paths in the result are relative to `folder`. The same graph gives the same bytes.

        Raises:
            RuntimeMissing: a package is missing, or its version is not one the target accepts.
            GraphRejected: the runtime cannot read the graph.
        """
        ...


def lowering(target: Target) -> Lowering:
    """The module that makes this target's files.

    Raises:
        NotYet: edgekit cannot make this precision or opset for the runtime.
        RuntimeMissing: the packages that make the files are not installed.
    """
    row = runtime_row(target.runtime)
    if reason := unsupported(target):
        raise NotYet(
            f"Target {target.name} cannot be exported to: {reason}.",
            expected="a target that `edgekit targets` calls ready",
            next_step="edgekit targets",
        )
    if not row.exports_without and not probe_row(row).available:
        raise missing_runtime(row.name)
    return cast(Lowering, importlib.import_module(row.lowers))


def obstacle(target: Target) -> str | None:
    """Why this machine cannot make the target's files; None if it can."""
    row = runtime_row(target.runtime)
    if reason := unsupported(target):
        return reason
    if not row.exports_without and not probe_row(row).available:
        return f"needs {install_command(row.name)}"
    if not probe_package(_EXPORTER).available:
        return f"needs {install_command('export')}"
    if row.converter and not probe_package(f"{row.converter_package}").available:
        return f"needs {install_command(row.converter)}"
    return None


def write_bundle_files(artifacts: tuple[Artifact, ...], target: Target, folder: Path) -> None:
    """Write the files of a bundle that belong to no artifact, such as TensorRT's build.sh.

    Args:
        artifacts: those in `folder`.
        target: of the bundle.
        folder: of the bundle.

    Raises:
        BadInput: an option of the target is malformed.
    """
    if module := runtime_row(target.runtime).bundle_files:
        importlib.import_module(module).write(artifacts, target, folder)
