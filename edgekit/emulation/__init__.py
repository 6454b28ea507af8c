"""Running exported files where the runtime that they are for cannot run.

One module per stand-in, behind the `Emulator` protocol. A stand-in reads the shipped files
themselves and rounds each result to the type that the file gives it. Every verdict and figure from
here says "emulated by" and names the stand-in.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from edgekit.catalog.runtimes import runtime_row
from edgekit.records import Artifact, Probe, Session, Target


class Emulator(Protocol):
    """What the module of a stand-in offers."""

    DESCRIPTION: str
    """What it does, as a clause that follows the reason why the runtime cannot run."""

    def probe(self) -> Probe:
        """Whether the packages of the stand-in are here; `version` is its name and version."""
        ...

    def open_artifact(self, artifact: Artifact, folder: Path, *, threads: int | None) -> Session:
        """Load one artifact.

        Raises:
            RuntimeMissing: a package of the stand-in is missing.
            BundleCorrupt: the files are missing or cannot be read.
            NotYet: the file uses an operator that the stand-in does not know.
        """
        ...


def emulator(target: Target) -> Emulator | None:
    """The stand-in for a target's runtime; None if there is none."""
    module = runtime_row(target.runtime).emulator
    return cast(Emulator, importlib.import_module(module)) if module else None
