"""The fleet that is this machine: a cell at a time, each step in a process of its own."""

from __future__ import annotations

from threading import Event

from edgekit.matrix.cells import Cell, Host, StepName, StepRun
from edgekit.matrix.fleets.here import (
    build_command,
    device_versions,
    machine_here,
    maker_versions,
)
from edgekit.matrix.fleets.turns import run_in_turns, turn, workplace
from edgekit.matrix.leash import leashed
from edgekit.matrix.process import Limits
from edgekit.matrix.steps import FOLDER, commands_of
from edgekit.records import Target


class LocalFleet:
    """This machine. A cell may take `limits.seconds` in all, and `limits.bytes` at once.

    `label` names it in results: machines that share a results folder need different names.
    """

    def __init__(self, limits: Limits, *, label: str = "local") -> None:
        self._label = label
        self._limits = limits
        self._stop = Event()

    def host(self, target: Target) -> Host:
        """This machine, for every target: where its runtime is missing, a stand-in runs it."""
        versions = {**maker_versions(target.runtime), **device_versions(target.runtime)}
        return Host(label=self._label, machine=machine_here(), versions=versions)

    def capacity(self, host: Host) -> int:  # noqa: ARG002
        """One cell at a time."""
        return 1

    def run(self, cell: Cell, target: Target) -> tuple[StepRun, ...]:
        """Run the steps of a cell in turns. Their bundle is removed at the end.

        Raises:
            BadInput: the cache cannot be written.
        """
        with workplace(cell) as folder, turn(folder, self._stop, timed=cell.timed):
            processes = {
                name: command if name == "build" else leashed(command)
                for name, command in _commands(cell, target, str(folder)).items()
            }
            told = _commands(cell, target)
            return tuple(
                run_in_turns(processes, told, folder, limits=self._limits, stop=self._stop)
            )

    def stop(self) -> None:
        """Kill what runs."""
        self._stop.set()


def _commands(cell: Cell, target: Target, folder: str = FOLDER) -> dict[StepName, tuple[str, ...]]:
    """The steps of a cell on the machine that makes its bundle and is its device too."""
    commands = commands_of(cell, folder)
    return {"export": commands["export"], **build_command(cell, target, folder), **commands}
