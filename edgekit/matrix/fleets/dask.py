"""Workers of a Dask cluster, which announce the labels of their devices as resources.

    dask worker tcp://10.0.0.2:8786 --nthreads 1 --resources "jetson-orin=1"

Dask queues the cells, gives a device one at a time, and gives the cell of a lost worker to another.
Bundles are made here. A worker needs edgekit, but no PyTorch.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import CancelledError
from functools import cached_property
from threading import Event, Lock
from typing import TYPE_CHECKING

from edgekit.errors import EdgekitError, RuntimeMissing
from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.connection import Unreachable
from edgekit.matrix.fleets.dask_worker import (
    Errand,
    Facts,
    code_here,
    facts_there,
    require_same_code,
    run_there,
    stop_there,
)
from edgekit.matrix.fleets.here import maker_versions
from edgekit.matrix.fleets.parcel import parcel_of
from edgekit.matrix.fleets.turns import limits_of
from edgekit.records import Target

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 10
_POLL_S = 1
_WARNS_ABOVE = "distributed.admin.large-graph-warning-threshold"
"""Dask warns of tasks that bring along so much. A cell's parcel has 100 MB and more."""

_PATIENCE_S = 60
"""How long a cell waits when no worker has its label any more: one may come back."""


class DaskFleet:
    """The workers of a scheduler, by the labels that they announce."""

    def __init__(self, scheduler: str, config: Config) -> None:
        self._scheduler = scheduler
        self._config = config
        self._stop = Event()
        self._matrix = secrets.token_hex(8)
        self._found: dict[tuple[str, str], Host | EdgekitError] = {}
        self._lock = Lock()

    def serves(self, label: str) -> bool:
        """Whether a worker announces the label. A scheduler that does not answer may serve any."""
        try:
            return bool(self._announcing(label))
        except EdgekitError:
            return True

    def host(self, target: Target) -> Host:
        """The device of a worker, with the versions of what makes its bundles here."""
        found = self._host_there(target)
        if isinstance(found, EdgekitError):
            return Host(label=target.label, machine="", versions={})
        versions = {**maker_versions(target.runtime), **found.versions}
        return Host(label=target.label, machine=found.machine, versions=versions)

    def capacity(self, host: Host) -> int:
        """The number of workers with the host's label now, and at least 1."""
        try:
            return max(len(self._announcing(host.label)), 1)
        except EdgekitError:
            return 1

    def run(self, cell: Cell, target: Target) -> tuple[StepRun, ...]:
        """Make the bundle here, and run it on a worker that is idle.

        Raises:
            Unreachable: the scheduler does not answer, or no worker is left.
            RuntimeMissing: Dask is not installed here, or edgekit is not installed there.
            BadInput: a worker has another edgekit, or is another machine than the first.
        """
        there = self._host_there(target)
        if isinstance(there, EdgekitError):
            raise there
        limits = limits_of(self._config)
        with parcel_of(cell, limits=limits, stop=self._stop) as parcel:
            if parcel.archive is None:
                return parcel.runs
            future = self._client.submit(
                run_there,
                Errand(
                    cell=cell,
                    there=there,
                    target=target,
                    code=code_here(),
                    seconds=limits.seconds - parcel.seconds,
                    memory=self._config.memory,
                    matrix=self._matrix,
                ),
                parcel.archive.read_bytes(),
                resources={target.label: 1},
                pure=False,
            )
        return (*parcel.runs, *self._result(future, target.label))

    def stop(self) -> None:
        """End the cells of this matrix on all workers, and leave the cluster."""
        self._stop.set()
        connected = vars(self).get("_connected")
        if connected is None or isinstance(connected, EdgekitError):
            return
        if connected.status == "running":
            connected.run(stop_there, self._matrix, on_error="ignore")
            connected.close()

    @cached_property
    def _connected(self) -> Client | EdgekitError:
        """The connection to the scheduler, which is tried once."""
        try:
            import dask
            from distributed import Client
        except ModuleNotFoundError:
            return RuntimeMissing(
                "Dask is not installed, which a fleet of kind 'dask' needs.",
                next_step="pip install 'edgekit[fleet]'",
            )
        dask.config.set({_WARNS_ABOVE: "1TB"})
        try:
            return Client(self._scheduler, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, asyncio.TimeoutError):
            return Unreachable(
                f"The Dask scheduler {self._scheduler} does not answer.",
                next_step="start it with `dask scheduler`, and workers with `dask worker "
                f'{self._scheduler} --nthreads 1 --resources "LABEL=1"`',
            )

    @property
    def _client(self) -> Client:
        with self._lock:
            connected = self._connected
        if isinstance(connected, EdgekitError):
            raise connected
        return connected

    def _announcing(self, label: str) -> list[str]:
        """The addresses of the workers with a label."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, asyncio.TimeoutError) as error:
            raise self._lost() from error
        return [address for address, each in workers.items() if each["resources"].get(label)]

    def _host_there(self, target: Target) -> Host | EdgekitError:
        """The facts of one worker with the target's label, or why they are not known."""
        key = (target.label, target.runtime)
        if key not in self._found:
            try:
                self._found[key] = self._ask(*key)
            except EdgekitError as error:
                self._found[key] = error
        return self._found[key]

    def _ask(self, label: str, runtime: str) -> Host:
        addresses = self._announcing(label)
        if not addresses:
            raise self._nobody(label)
        try:
            told = self._client.run(facts_there, label, runtime, workers=addresses[:1])
        except ImportError as error:
            raise RuntimeMissing(
                f"The Dask worker {addresses[0]} cannot import edgekit: {error}",
                next_step="install the same edgekit there, with the extra of its runtime",
            ) from error
        except OSError as error:
            raise self._lost() from error
        facts: Facts = told[addresses[0]]
        require_same_code(facts.code, addresses[0])
        return facts.host

    def _result(self, future: Future, label: str) -> tuple[StepRun, ...]:
        """The result of a task. It is given up if no worker with its label is left."""
        from distributed import KilledWorker

        last_seen = time.monotonic()
        while not self._stop.is_set():
            try:
                runs: tuple[StepRun, ...] = future.result(timeout=_POLL_S)
                return runs
            except asyncio.TimeoutError:
                now = time.monotonic()
                last_seen = now if self._announcing(label) else last_seen
                if now - last_seen > _PATIENCE_S:
                    future.cancel()
                    raise self._nobody(label) from None
            except KilledWorker as error:
                raise Unreachable(f"Every worker that ran this cell was lost: {error}") from error
            except CancelledError as error:
                raise self._lost() from error
            except EdgekitError:
                raise
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
                raise Unreachable(f"A Dask worker could not run the cell: {told}") from error
        raise Unreachable("The matrix was interrupted.")

    def _nobody(self, label: str) -> Unreachable:
        return Unreachable(
            f"No worker of {self._scheduler} announces {label}.",
            next_step=f'dask worker {self._scheduler} --nthreads 1 --resources "{label}=1"',
        )

    def _lost(self) -> Unreachable:
        return Unreachable(f"The Dask scheduler {self._scheduler} was lost.")
