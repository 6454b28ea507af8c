"""The fleet of a table of workers: each target goes to the first row that has its label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets import Fleet
from edgekit.matrix.fleets.local import LocalFleet
from edgekit.matrix.fleets.ssh import SshFleet
from edgekit.matrix.fleets.turns import limits_of
from edgekit.matrix.fleets.workers import Worker, read_workers
from edgekit.records import Target
from edgekit.store import user_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A fleet, and which labels it serves."""

    serves: Callable[[str], bool]
    fleet: Fleet


class RoutedFleet:
    """Several fleets as one. `table` is the file that lists them, for messages."""

    def __init__(self, routes: Sequence[Route], table: Path) -> None:
        self._routes = routes
        self._table = table
        self._of_host: dict[str, Fleet] = {}

    def host(self, target: Target) -> Host:
        """The host of the first fleet that serves the target's label."""
        fleet = self._fleet(target.label)
        if fleet is None:
            return Host(label=target.label, machine="", versions={})
        host = fleet.host(target)
        self._of_host[host.label] = fleet
        return host

    def capacity(self, host: Host) -> int:
        """That of the host's fleet."""
        fleet = self._of_host.get(host.label)
        return fleet.capacity(host) if fleet else 1

    def run(self, cell: Cell, target: Target) -> tuple[StepRun, ...]:
        """Run a cell on the fleet for its target.

        Raises:
            BadInput: no fleet serves the target's label.
            EdgekitError: as that fleet's.
        """
        fleet = self._fleet(target.label)
        if fleet is None:
            raise BadInput(
                f"No worker in {self._table} has the label {target.label!r}, which {target.name} "
                "needs.",
                expected="a row with this label, or one of kind 'local' without labels for the "
                "rest",
            )
        return fleet.run(cell, target)

    def stop(self) -> None:
        """Stop all fleets."""
        for route in self._routes:
            route.fleet.stop()

    def _fleet(self, label: str) -> Fleet | None:
        return next((route.fleet for route in self._routes if route.serves(label)), None)


def fleet_of(config: Config, *, label: str = "local") -> Fleet:
    """The fleet of a configuration: the workers of its table, or this machine, by its label.

    Raises:
        BadInput: the table cannot be read.
    """
    if config.fleet is None:
        return LocalFleet(limits_of(config), label=label)
    table = user_path(config.fleet)
    return RoutedFleet(tuple(_routes(read_workers(table), config, label)), table)


def _routes(workers: Sequence[Worker], config: Config, label: str) -> Iterator[Route]:
    """In the order of the rows. All rows of kind "ssh" are one fleet, in the place of the first."""
    ssh = SshFleet([worker for worker in workers if worker.kind == "ssh"], config)
    for worker in workers:
        match worker:
            case Worker(kind="local"):
                yield Route(serves=worker.serves, fleet=LocalFleet(limits_of(config), label=label))
            case Worker(kind="dask", scheduler=str(scheduler)):
                from edgekit.matrix.fleets.dask import DaskFleet  # imports asyncio, which is slow

                cluster = DaskFleet(scheduler, config)
                yield Route(
                    serves=worker.serves if worker.labels else cluster.serves, fleet=cluster
                )
            case _:
                yield Route(serves=ssh.serves, fleet=ssh)
