"""The part of a cell that runs on its device: build engines, verify and bench. No PyTorch.

Dask workers call `run_parcel`. Over ssh, `serve` reads a request from stdin and answers on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

from edgekit.matrix.cells import Cell, Host, StepName, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.here import build_command, device_versions, machine_here
from edgekit.matrix.fleets.parcel import unpack
from edgekit.matrix.fleets.turns import limits_of, run_in_turns, turn, workplace
from edgekit.matrix.leash import leashed
from edgekit.matrix.steps import device_commands
from edgekit.records import Target
from edgekit.store import record_from_json

_CHUNK = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a device is asked over ssh: the facts of itself for a runtime, or to run a cell.

    `target` is the cell's, which may be a user's own. `seconds` and `memory` (GB, None for most of
    it) limit the cell. After the request's line come `bytes` of its parcel. When stdin then ends,
    the cell is stopped.
    """

    label: str = ""
    runtime: str = ""
    cell: Cell | None = None
    target: Target | None = None
    seconds: float = 0.0
    memory: float | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A device's answer to a request: one of the two."""

    host: Host | None = None
    runs: tuple[StepRun, ...] = ()


def host_here(label: str, runtime: str) -> Host:
    """This device, for a runtime."""
    return Host(label=label, machine=machine_here(), versions=device_versions(runtime))


def run_parcel(
    cell: Cell, target: Target, fetch: Callable[[Path], object], config: Config, stop: Event
) -> tuple[StepRun, ...]:
    """Run the device's steps of a cell. If it is timed, no other cell runs on this machine.

    Args:
        cell: whose bundle it is.
        target: the cell's.
        fetch: writes the parcel to a path.
        config: the limits of time and memory.
        stop: ends what runs.

    Raises:
        BadInput: the cache cannot be written.
    """
    with workplace(cell) as folder:
        archive = folder / "parcel.zip"
        fetch(archive)
        photos = unpack(archive, folder)
        archive.unlink()
        commands = device_commands(cell, str(folder), photos=photos)
        processes: dict[StepName, Sequence[str]] = {
            **build_command(cell, target, str(folder)),
            **{name: leashed(command) for name, command in commands.items()},
        }
        told = {**build_command(cell, target), **device_commands(cell, photos=cell.photos)}
        with turn(folder, stop, timed=cell.timed):
            limits = limits_of(config)
            return tuple(run_in_turns(processes, told, folder, limits=limits, stop=stop))


def serve() -> None:
    """Answer the request on stdin."""
    request = record_from_json(Request, sys.stdin.buffer.readline())
    sys.stdout.write(json.dumps(asdict(_answer(request))))


def _answer(request: Request) -> Answer:
    if request.cell is None or request.target is None:
        return Answer(host=host_here(request.label, request.runtime))
    config = Config(timeout=request.seconds, memory=request.memory)
    stop = Event()

    def fetch(path: Path) -> None:
        _read_parcel(path, request.bytes)
        Thread(target=_stop_at_end, args=(stop,), daemon=True).start()

    return Answer(runs=run_parcel(request.cell, request.target, fetch, config, stop))


def _read_parcel(path: Path, count: int) -> None:
    with path.open("wb") as file:
        while count:
            chunk = sys.stdin.buffer.read(min(_CHUNK, count))
            if not chunk:
                raise EOFError("the connection ended within the parcel")
            file.write(chunk)
            count -= len(chunk)


def _stop_at_end(stop: Event) -> None:
    # os.read rather than sys.stdin, whose lock a thread must not hold when Python ends.
    while os.read(0, 1):
        pass
    stop.set()
