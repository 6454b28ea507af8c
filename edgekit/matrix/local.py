"""The fleet that is this machine: a cell at a time, each step in a process of its own."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Event

from edgekit import store
from edgekit.catalog.runtimes import runtime_row
from edgekit.doctor import read_machine
from edgekit.doctor.packages import packages_of
from edgekit.matrix.cells import Cell, Host, Step, StepName, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.leash import leashed
from edgekit.matrix.process import Ended, Limits, run_limited
from edgekit.matrix.steps import FOLDER, commands_of
from edgekit.records import Target
from edgekit.store.folders import part_dir
from edgekit.store.locks import lock, unlock

_LOG_LINES = 20
_POLL_S = 1.0
_TIMEOUT_S = 1800.0
_GOES_ON = (0, 1)
"""Exit codes after which a cell's next step runs: a bundle that failed its gate is timed too."""


class LocalFleet:
    """This machine. A cell may take `limits.seconds` in all, and `limits.bytes` at once.

    `label` names it in results: machines that share a results folder need different names.
    """

    capacity = 1

    def __init__(self, limits: Limits, *, label: str = "local") -> None:
        self._limits = limits
        self._label = label
        self._stop = Event()

    def host(self, target: Target) -> Host:
        """This machine, for every target: where its runtime is missing, a stand-in runs it."""
        return Host(label=self._label, machine=_machine(), versions=_versions(target.runtime))

    def run(self, cell: Cell) -> tuple[StepRun, ...]:
        """Run the steps of a cell in turns. Their bundle is removed at the end.

        Raises:
            BadInput: the cache cannot be written.
        """
        with _workplace(cell, self._stop) as folder:
            return tuple(self._steps(cell, folder))

    def stop(self) -> None:
        """Kill what runs."""
        self._stop.set()

    def _steps(self, cell: Cell, folder: Path) -> Iterator[StepRun]:
        deadline = time.monotonic() + self._limits.seconds
        to_repeat = commands_of(cell)
        for name, command in commands_of(cell, folder=str(folder)).items():
            ended = run_limited(
                leashed(command),
                stdout=folder / f"{name}.json",
                stderr=folder / f"{name}.log",
                limits=Limits(seconds=deadline - time.monotonic(), bytes=self._limits.bytes),
                stop=self._stop,
            )
            yield _step_run(name, to_repeat[name], ended, folder)
            if ended.exit_code not in _GOES_ON:
                return


def limits_of(config: Config) -> Limits:
    """The limits of a configuration; by default half an hour and nine tenths of the memory."""
    import psutil

    memory = psutil.virtual_memory().total * 9 // 10
    return Limits(
        seconds=config.timeout or _TIMEOUT_S,
        bytes=int(config.memory * 1e9) if config.memory else memory,
    )


def _step_run(name: StepName, command: tuple[str, ...], ended: Ended, folder: Path) -> StepRun:
    """A step as it is told: with the command for a user's folder, and the end of its log."""
    log = (folder / f"{name}.log").read_text(encoding="utf-8", errors="backslashreplace")
    lines = [line.rstrip() for line in log.replace(str(folder), FOLDER).splitlines()]
    step = Step(
        name=name,
        command=command,
        exit_code=ended.exit_code,
        seconds=round(ended.seconds, 2),
        peak_bytes=ended.peak_bytes,
        stopped=ended.stopped,
        log="\n".join(lines[-_LOG_LINES:]),
    )
    document = (folder / f"{name}.json").read_text(encoding="utf-8", errors="replace")
    return StepRun(step=step, document=document)


@contextmanager
def _workplace(cell: Cell, stop: Event) -> Iterator[Path]:
    """A folder for a cell's bundle. What a killed run left behind is removed first.

    It waits until no other matrix runs a cell on this machine: two would distort each other's
    times.
    """
    place = store.cache_dir() / "matrix"
    advice = "set EDGEKIT_CACHE to a folder that can be written"
    with part_dir(place / cell.name, advice=advice) as folder:
        while (held := lock(place)) is None and not stop.wait(_POLL_S):
            pass
        try:
            yield folder
        finally:
            unlock(held)


@cache
def _machine() -> str:
    machine = read_machine()
    gpus = "".join(f", {gpu.name}" for gpu in machine.gpus)
    system = f"{platform.system()} {machine.architecture}"
    return f"{machine.cpu}, {machine.cores} cores{gpus}, {system}"


@cache
def _versions(runtime: str) -> dict[str, str]:
    row = runtime_row(runtime)
    extras = filter(None, ("export", row.name, row.converter))
    packages = [package for extra in extras for package in packages_of(extra)]
    found = {package.distribution: package.installed or "not installed" for package in packages}
    return {"python": platform.python_version(), **found}
