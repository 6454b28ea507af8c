"""Open exported files on their own runtime. Imports neither torch nor onnx.

One module per runtime, behind the `Runtime` protocol. Each imports its runtime inside functions, so
importing the module is cheap. `catalog.runtimes` has one row of facts per runtime.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from edgekit.catalog.runtimes import runtime_row
from edgekit.records import Artifact, Execution, Probe, Session, Target


class Runtime(Protocol):
    """The interface of a runtime's module."""

    def probe(self) -> Probe:
        """Whether the runtime itself can run here, and its version. Never a stand-in."""
        ...

    def execution(self, target: Target) -> Execution:
        """How the runtime runs this target's files here; "not run" if it cannot."""
        ...

    def open_artifact(
        self, artifact: Artifact, folder: Path, target: Target, *, threads: int | None
    ) -> Session:
        """Load one artifact. With `threads` None the runtime chooses the number of CPU threads.

        The session's `run` raises BadInput if names, shapes or dtypes are not the artifact's.

        Raises:
            RuntimeMissing: the runtime is not installed, or not of a version the target accepts.
            BundleCorrupt: the files are missing, or the runtime cannot read them.
        """
        ...


def runtime(name: str) -> Runtime:
    """The module of a runtime, by the name that targets use.

    Raises:
        NotYet: edgekit does not know this runtime.
    """
    return cast(Runtime, importlib.import_module(runtime_row(name).opens))


def probe(name: str) -> Probe:
    """Whether the runtime of this name can run here."""
    return runtime(name).probe()
