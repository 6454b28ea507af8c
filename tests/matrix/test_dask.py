"""A Dask cluster as a fleet: labels, one cell per device, and workers that are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from edgekit import catalog
from edgekit.errors import BadInput, EdgekitError, RuntimeMissing
from edgekit.matrix import State
from edgekit.matrix.cells import Host
from edgekit.matrix.config import Config
from edgekit.matrix.fleets import dask as module
from edgekit.matrix.fleets import dask_worker
from edgekit.matrix.fleets.connection import Unreachable
from edgekit.matrix.fleets.dask import DaskFleet
from tests.matrix.dask_worker import HANGS_ONCE

distributed = pytest.importorskip("distributed", reason="pip install 'edgekit[fleet]'")

ROOT = Path(__file__).parents[2]
TARGETS = (HANGS_ONCE, "jetson-fp16", "jetson-nano-fp16")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which workers tell of the cells that they ran."""
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="module")
def scheduler(cells: Path) -> Iterator[str]:
    """A scheduler with two workers for Jetsons, each a process that nobody starts again."""
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        workers = [_worker(address, cells) for _ in range(2)]
        try:
            with distributed.Client(address) as client:
                client.wait_for_workers(2, timeout=60)
            yield address
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def _worker(address: str, cells: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    command += ["--nthreads", "2", "--resources", "jetson-orin=1 jetson-nano=1", "--no-dashboard"]
    command += ["--preload", "tests.matrix.dask_worker", "--local-directory", str(cells)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_CELLS": str(cells)}
    return subprocess.Popen(command, env=environment, cwd=cells, stderr=subprocess.DEVNULL)


@pytest.fixture
def fleet(scheduler: str) -> Iterator[DaskFleet]:
    """The cluster."""
    made = DaskFleet(scheduler, Config(timeout=60))
    yield made
    made.stop()


def started(cells: Path, target: str) -> list[int]:
    """The workers that ran a target's cell, by their process."""
    return [int(file.name.rpartition("-")[2]) for file in cells.glob(f"{target}-*")]


def test_labels_are_what_workers_announce(fleet):
    assert fleet.serves("jetson-orin")
    assert not fleet.serves("iphone")
    host = fleet.host(catalog.target("jetson-fp16"))
    assert (host.label, host.versions["python"]) == ("jetson-orin", sys.version.split()[0])
    assert fleet.capacity(host) == 2
    nobody = fleet.host(catalog.target("iphone-fp16"))
    assert nobody == Host(label="iphone", machine="", versions={})
    assert fleet.capacity(nobody) == 1


@pytest.mark.usefixtures("made_parcels")
def test_a_label_that_nobody_announces_costs_only_its_own_cells(fleet, matrix, make_cell):
    with pytest.raises(Unreachable) as error:
        fleet.run(make_cell("iphone-fp16"), catalog.target("iphone-fp16"))
    assert "announces iphone" in error.value.what
    assert "iphone=1" in error.value.next_step
    overview = matrix(fleet, models=("nanosam",), targets=("iphone-fp16,jetson-nano-fp16",))
    assert overview.counts == {State.PASSED_NATIVE: 1, State.COULD_NOT_RUN: 1}


@pytest.mark.usefixtures("made_parcels")
def test_a_worker_with_another_edgekit_gets_no_cell(fleet, make_cell, monkeypatch):
    monkeypatch.setattr(dask_worker, "code_here", lambda: "other")
    with pytest.raises(BadInput, match="has another edgekit"):
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))


@pytest.mark.usefixtures("made_parcels")
def test_a_worker_that_is_another_machine_than_the_first_gets_no_cell(
    fleet, make_cell, monkeypatch
):
    first = Host(label="jetson-orin", machine="another", versions={})
    monkeypatch.setattr(DaskFleet, "_ask", lambda *_: first)
    with pytest.raises(BadInput, match="Workers with the label jetson-orin differ"):
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))


@pytest.mark.usefixtures("made_parcels")
def test_an_error_of_a_worker_costs_only_its_own_cell(fleet, matrix):
    overview = matrix(fleet, targets=("jetson-nano-fp16",))
    assert overview.counts == {State.PASSED_NATIVE: 1, State.COULD_NOT_RUN: 1}
    assert "OSError: [Errno 28] No space left on device" in f"{overview.cells[1].reason}"


@pytest.mark.usefixtures("made_parcels")
def test_the_cell_of_a_lost_worker_goes_to_another(fleet, matrix, cells):
    lost: list[int] = []

    def kill_mid_cell() -> None:
        until = time.monotonic() + 60
        while not (found := started(cells, HANGS_ONCE)) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(found[0], signal.SIGKILL)
        lost.append(found[0])

    killer = Thread(target=kill_mid_cell)
    killer.start()
    overview = matrix(fleet, models=("nanosam",), targets=(",".join(TARGETS),))
    killer.join()
    assert overview.counts == {State.PASSED_NATIVE: 3}
    assert {cell.place.host for cell in overview.cells} == {"jetson-orin", "jetson-nano"}
    other = set(started(cells, HANGS_ONCE)) - set(lost)
    assert len(other) == 1
    assert fleet.capacity(fleet.host(catalog.target("jetson-fp16"))) == 1
    with zipfile.ZipFile(next(cells.glob(f"{HANGS_ONCE}-*"))) as parcel:
        assert parcel.namelist() == [f"nanosam-{HANGS_ONCE}/manifest.json"]


@pytest.mark.usefixtures("made_parcels")
def test_a_cell_is_given_up_when_no_worker_is_left(fleet, make_cell, monkeypatch):
    fleet.host(catalog.target("jetson-fp16"))
    monkeypatch.setattr(module, "_PATIENCE_S", 1)
    monkeypatch.setattr(fleet, "_announcing", lambda _: [])
    monkeypatch.setattr(
        fleet._client, "submit", lambda *_, **__: distributed.Future("never", fleet._client)
    )
    with pytest.raises(Unreachable, match="announces jetson-orin"):
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))


def test_a_scheduler_that_does_not_answer(make_cell, monkeypatch):
    monkeypatch.setattr(module, "_CONNECT_S", 0.5)
    fleet = DaskFleet("tcp://127.0.0.1:1", Config())
    assert fleet.host(catalog.target("jetson-fp16")).machine == ""
    assert fleet.serves("jetson-orin")
    with pytest.raises(EdgekitError, match=r"scheduler tcp://127\.0\.0\.1:1 does not answer"):
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))


def test_without_dask_the_reason_says_how_to_install_it(make_cell, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    fleet = DaskFleet("tcp://127.0.0.1:1", Config())
    with pytest.raises(RuntimeMissing) as error:
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))
    assert error.value.next_step == "pip install 'edgekit[fleet]'"
