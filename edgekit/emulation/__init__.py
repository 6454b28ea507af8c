"""Run exported files where their own runtime cannot run.

One module per stand-in, behind the `Emulator` protocol. A stand-in reads the shipped files and
rounds each result to the type that the file declares. Its verdicts and figures say "emulated by"
and name the stand-in.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from edgekit.catalog.runtimes import runtime_row
from edgekit.records import Artifact, Probe, Session, Target


class Emulator(Protocol):
    """The interface of a stand-in's module."""

    DESCRIPTION: str
    """What it does, as a clause after the reason why the runtime cannot run."""

    def probe(self) -> Probe:
        """Whether its packages are installed; `version` is the name and version of the stand-in."""
        ...

    def open_artifact(
        self, artifact: Artifact, folder: Path, target: Target, *, threads: int | None
    ) -> Session:
        """Load one artifact.

        Raises:
            RuntimeMissing: a package of the stand-in is missing, or not of a version that the
                target accepts.
            BundleCorrupt: the files are missing or cannot be read.
            NotYet: the stand-in does not know an operator of the file.
        """
        ...


def emulator(target: Target) -> Emulator | None:
    """The stand-in for a target's runtime; None if it has none."""
    module = runtime_row(target.runtime).emulator
    return cast(Emulator, importlib.import_module(module)) if module else None
