"""Devices over ssh. Bundles are made here; a device gets one with edgekit's code, and runs it.

A device needs Python, edgekit's packages and the runtime, but no edgekit and no PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from itertools import chain
from pathlib import Path
from threading import Condition, Event, Lock
from typing import TypeVar

from edgekit.errors import BadInput, EdgekitError
from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.connection import Message, Reply, Unreachable, ask_over_ssh
from edgekit.matrix.fleets.device import Answer, Request
from edgekit.matrix.fleets.here import maker_versions
from edgekit.matrix.fleets.needs import PROBE, Found, package_names, require_on_device
from edgekit.matrix.fleets.parcel import parcel_of
from edgekit.matrix.fleets.shipment import shipment
from edgekit.matrix.fleets.turns import limits_of
from edgekit.matrix.fleets.workers import Worker
from edgekit.matrix.outcome import last_error
from edgekit.records import Target
from edgekit.store import Malformed, record_from_json

T = TypeVar("T")

_ANSWER_S = 120.0
"""Beside a cell's own time: a small device takes seconds to start Python and to unpack."""

_CHUNK = 2**20

_SERVE = """
import os, sys
folder = os.path.abspath(sys.argv[1])
os.environ["EDGEKIT_CACHE"] = os.path.join(folder, "cache")
sys.path[0] = os.path.join(folder, sys.argv[2])
from edgekit.matrix.fleets.device import serve
serve()
"""

_UNPACK = """
import os, sys, tarfile, tempfile
sys.path.pop(0)
folder, name = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
part = tempfile.mkdtemp(dir=folder)
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
    archive.extractall(part)
os.rename(part, os.path.join(folder, name))
"""


class SshFleet:
    """Devices over ssh. Those with one label must be alike; they share its cells."""

    def __init__(self, workers: Sequence[Worker], config: Config) -> None:
        self._stop = Event()
        self._devices = [_Device(worker, self._stop) for worker in workers]
        self._config = config
        self._idle = _Idle(self._devices)
        self._usable = cache(self._find_usable)
        self._finding = Lock()

    def serves(self, label: str) -> bool:
        """Whether a device has the label."""
        return any(device.worker.serves(label) for device in self._devices)

    def host(self, target: Target) -> Host:
        """The device for a target, with the versions of what makes its bundles here."""
        try:
            there = self._usable_for(target)[0].host(target.label, target.runtime)
        except EdgekitError:
            return Host(label=target.label, machine="", versions={})
        versions = {**maker_versions(target.runtime), **there.versions}
        return Host(label=target.label, machine=there.machine, versions=versions)

    def capacity(self, host: Host) -> int:
        """The number of devices with the host's label."""
        return sum(device.worker.serves(host.label) for device in self._devices)

    def run(self, cell: Cell, target: Target) -> tuple[StepRun, ...]:
        """Make the bundle here, and run it on the next device that is idle.

        Raises:
            Unreachable, RuntimeMissing: no device answers, or none has what it needs.
            BadInput: the devices differ, or the cache cannot be written.
        """
        devices = self._usable_for(target)
        limits = limits_of(self._config)
        with parcel_of(cell, limits=limits, stop=self._stop) as parcel:
            if parcel.archive is None:
                return parcel.runs
            seconds = limits.seconds - parcel.seconds
            with self._idle.one_of(devices) as device:
                request = Request(
                    cell=cell,
                    target=target,
                    seconds=seconds,
                    memory=self._config.memory,
                    bytes=parcel.archive.stat().st_size,
                )
                return (*parcel.runs, *device.run(request, parcel.archive))

    def stop(self) -> None:
        """Close all connections, which ends what runs on the devices."""
        self._stop.set()

    def _usable_for(self, target: Target) -> tuple[_Device, ...]:
        with self._finding:
            found = self._usable(target.label, target.runtime)
        if isinstance(found, EdgekitError):
            raise found
        return found

    def _find_usable(self, label: str, runtime: str) -> tuple[_Device, ...] | EdgekitError:
        """The devices that can run a target's cells, or why there is none."""
        found: list[tuple[_Device, Host]] = []
        problems: list[EdgekitError] = []
        for device in (each for each in self._devices if each.worker.serves(label)):
            try:
                found.append((device, device.host(label, runtime)))
            except EdgekitError as error:
                problems.append(error)
        if not found:
            return problems[0]
        if any(host != found[0][1] for _, host in found):
            return _unlike(label, found)
        return tuple(device for device, _ in found)


class _Idle:
    """Which devices are idle. A device runs one cell at a time."""

    def __init__(self, devices: Sequence[_Device]) -> None:
        self._idle = list(devices)
        self._changed = Condition()

    @contextmanager
    def one_of(self, devices: Sequence[_Device]) -> Iterator[_Device]:
        """Wait for one of the devices, which is not idle inside the block."""
        with self._changed:
            self._changed.wait_for(lambda: any(each in self._idle for each in devices))
            device = next(each for each in devices if each in self._idle)
            self._idle.remove(device)
        try:
            yield device
        finally:
            with self._changed:
                self._idle.append(device)
                self._changed.notify_all()


class _Device:
    """One row of the table, reached over ssh."""

    def __init__(self, worker: Worker, stop: Event) -> None:
        self.worker = worker
        self.host = cache(self._host)
        self._stop = stop

    def _host(self, label: str, runtime: str) -> Host:
        """The device's own facts, after it was checked and has edgekit's code.

        Raises:
            Unreachable: it does not answer.
            RuntimeMissing: it lacks something; the next step installs it.
        """
        found = self._probe(runtime)
        require_on_device(found, runtime, worker=self.worker)
        if not found.has_code:
            ship = shipment()
            unpack = ("-c", _UNPACK, self.worker.folder, ship.name)
            self._python(unpack, Message(chunks=(ship.content,)))
        host = self._ask(Request(label=label, runtime=runtime), ()).host
        assert host is not None
        return host

    def run(self, request: Request, archive: Path) -> tuple[StepRun, ...]:
        """Run a cell with its parcel.

        Raises:
            Unreachable: the device was lost.
        """
        return self._ask(request, _chunks(archive)).runs

    def _probe(self, runtime: str) -> Found:
        code = f"{self.worker.folder}/{shipment().name}"
        words = ("-", code, *package_names(runtime))
        printed = self._python(words, Message(chunks=(PROBE.encode(),)))
        return self._read(Found, printed)

    def _ask(self, request: Request, parcel: Iterable[bytes]) -> Answer:
        line = json.dumps(asdict(request)).encode() + b"\n"
        printed = self._python(
            ("-c", _SERVE, self.worker.folder, shipment().name),
            Message(chunks=chain((line,), parcel), held=request.cell is not None),
            seconds=request.seconds,
        )
        return self._read(Answer, printed)

    def _python(self, words: Sequence[str], message: Message, *, seconds: float = 0) -> bytes:
        """What the device's Python prints, which takes a cell's seconds if it runs one."""
        worker = self.worker
        assert worker.host is not None
        reply = ask_over_ssh(
            worker.host,
            (worker.python, *words),
            message,
            seconds=seconds + _ANSWER_S,
            stop=self._stop,
        )
        if reply.exit_code != 0:
            raise Unreachable(
                f"{worker.name} ({worker.host}): {worker.python} {_ended(reply)}",
                next_step='name the device\'s Python with python = "..." in its row',
            )
        return reply.stdout

    def _read(self, kind: type[T], printed: bytes) -> T:
        """A record from the last line that was printed: shells may greet before it."""
        try:
            return record_from_json(kind, printed.strip().rpartition(b"\n")[2])
        except Malformed as error:
            raise Unreachable(f"{self.worker.name} answers something else: {error}") from error


def _ended(reply: Reply) -> str:
    if reply.exit_code is None:
        return "did not answer in time"
    return f"ended with exit code {reply.exit_code}: {last_error(reply.stderr)}"


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            yield chunk


def _unlike(label: str, found: Sequence[tuple[_Device, Host]]) -> BadInput:
    facts = (f"{device.worker.name}: {host.machine}, {host.versions}" for device, host in found)
    return BadInput(
        f"The devices with the label {label} differ: {'; '.join(facts)}",
        expected="one machine and the same versions, since each may run any of the label's cells",
        next_step="install the same packages, or leave one of the devices out",
    )
