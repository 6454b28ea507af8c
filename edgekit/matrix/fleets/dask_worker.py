"""What a worker of a Dask cluster does for a matrix: tell its facts, run a cell, stop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Event, Lock

from edgekit import store
from edgekit.errors import BadInput
from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.device import host_here, run_parcel
from edgekit.records import Target

_STOPS: dict[str, Event] = {}
"""What stops the cells of a matrix on this worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A cell as a worker gets it.

    `there` and `code` are what the first worker told of itself, and what this one must be too.
    `seconds` and `memory` (GB) limit the cell. `matrix` names the run that it belongs to.
    """

    cell: Cell
    there: Host
    target: Target
    code: str
    seconds: float
    memory: float | None
    matrix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A worker as a host, and the digest of its edgekit's code."""

    host: Host
    code: str


def facts_there(label: str, runtime: str) -> Facts:
    """The facts of this worker."""
    return Facts(host=host_here(label, runtime), code=code_here())


def run_there(errand: Errand, parcel: bytes) -> tuple[StepRun, ...]:
    """Run a cell on this worker.

    Raises:
        BadInput: the worker has another edgekit, or is another machine, than the first one asked.
    """
    here = host_here(errand.there.label, errand.target.runtime)
    require_same_code(errand.code, here.machine)
    if here != errand.there:
        raise BadInput(
            f"Workers with the label {here.label} differ: {here} and {errand.there}.",
            expected="one machine and the same versions, since each may run any of the label's "
            "cells",
        )
    stop = _STOPS.setdefault(errand.matrix, Event())
    limits = Config(timeout=errand.seconds, memory=errand.memory)
    return run_parcel(errand.cell, errand.target, partial(_write, parcel), limits, stop)


def stop_there(matrix: str) -> None:
    """End the cells of a matrix on this worker."""
    _STOPS.setdefault(matrix, Event()).set()


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


_PARSING = Lock()
"""CPython 3.11 does not parse in two threads at once: "AST constructor recursion depth mismatch"
(python/cpython#106905)."""


def code_here() -> str:
    """The digest of edgekit's code in this process."""
    with _PARSING:
        return _code_digest()


@cache
def _code_digest() -> str:
    return store.code_digest("edgekit.matrix")


def require_same_code(code: str, where: str) -> None:
    """Check that a worker and the machine that sends it cells have the same edgekit.

    Raises:
        BadInput: they do not.
    """
    if code != code_here():
        raise BadInput(
            f"The Dask worker {where} has another edgekit than this machine.",
            expected="the same version, so that results tell what they are of",
            next_step="install the same edgekit on all workers, and start them again",
        )
