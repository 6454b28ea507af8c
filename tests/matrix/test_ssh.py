"""Devices over ssh. A program named `ssh` on the PATH runs the remote line in a shell here."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from edgekit import catalog
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.matrix import State
from edgekit.matrix.cells import Host
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.connection import Message, Unreachable, ask_over_ssh
from edgekit.matrix.fleets.shipment import shipment
from edgekit.matrix.fleets.ssh import SshFleet
from edgekit.matrix.fleets.workers import Worker

TARGET = "x86-ort-fp32"
FAKE_SSH = f"""#!{sys.executable}
import os, sys
host, line = sys.argv[-2:]
assert sys.argv[-3] == "--" and "BatchMode=yes" in sys.argv
if host == "gone":
    print("ssh: connect to host gone port 22: No route to host", file=sys.stderr)
    sys.exit(255)
os.chdir(os.environ["FAKE_HOME"])
print("Welcome to this device.", flush=True)
os.execvp("sh", ["sh", "-c", line])
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The device's home folder; `ssh` on the PATH leads there."""
    for name in ("bin", "home"):
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text(FAKE_SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def worker(name: str = "orin", **row: object) -> Worker:
    usual = {"kind": "ssh", "host": name, "labels": ("x86",), "python": sys.executable}
    return Worker(name=name, **{**usual, **row})


def fleet_of(*workers: Worker) -> SshFleet:
    return SshFleet(workers, Config(timeout=60))


def python_that_tells(home: Path, **found: object) -> str:
    """A device's Python with these facts."""
    facts = {"machine": "aarch64", "system": "linux", "installed": {}, "has_code": True, **found}
    program = home / "python"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.slow
def test_a_device_gets_edgekit_once_and_tells_of_itself(home):
    folder = "its folder; touch ../harm $(touch ../harm)"
    device = worker(folder=folder)
    host = fleet_of(device).host(catalog.target(TARGET))
    assert (host.label, host.versions["python"]) == ("x86", sys.version.split()[0])
    assert "cores" in host.machine
    assert "torch" in host.versions, "what made the bundle counts too"
    (code,) = (home / folder).glob("code-*")
    assert {path.name for path in code.iterdir()} >= {"edgekit"}
    assert not list(code.rglob("*.safetensors"))
    written = code.stat().st_mtime_ns
    assert fleet_of(device).host(catalog.target(TARGET)) == host
    assert code.stat().st_mtime_ns == written
    assert not list(home.parent.rglob("harm")), "a folder's name is no command"
    assert len(shipment().content) < 10**7


@pytest.mark.slow
@pytest.mark.usefixtures("made_parcels")
def test_a_cell_runs_on_the_device(home, make_cell):
    runs = fleet_of(worker()).run(make_cell(TARGET), catalog.target(TARGET))
    assert [run.step.name for run in runs] == ["export", "verify"]
    verify = runs[-1].step
    assert verify.exit_code == 2
    assert "dist/nanosam-x86-ort-fp32" in verify.log, "the empty bundle was unpacked and opened"
    assert verify.command[-2:] == ("--reference", "dist/reference.zip")
    cells = home / "edgekit-worker" / "cache" / "matrix"
    assert list(cells.iterdir()) == [], "the bundle is removed"


LACKS = {
    "unreachable": ({"name": "gone"}, Unreachable, "No route to host"),
    "no Python": ({"python": "no-python"}, Unreachable, "no-python ended with exit code 127"),
}


@pytest.mark.parametrize("case", LACKS)
def test_a_device_that_cannot_be_used_costs_only_its_own_cells(matrix, make_cell, case):
    row, kind, reason = LACKS[case]
    fleet = fleet_of(worker(**row))
    assert fleet.host(catalog.target(TARGET)) == Host(label="x86", machine="", versions={})
    with pytest.raises(kind, match=reason):
        fleet.run(make_cell(TARGET), catalog.target(TARGET))
    overview = matrix(fleet, models=("nanosam",), targets=(TARGET,))
    assert overview.counts == {State.COULD_NOT_RUN: 1}
    assert reason in overview.cells[0].reason


@pytest.mark.parametrize(
    ("found", "reason", "next_step"),
    [
        ({"python": "3.8.10"}, "orin has Python 3.8.10 as", "name it in orin's row: python"),
        (
            {"python": "3.10.12", "installed": {"numpy": "1.21.5", "rich": "15.0"}},
            "numpy<2.4,>=1.26 (has 1.21.5)",
            "-m pip install",
        ),
        (
            {"python": "3.10.12", "installed": {"numpy": "unknown", "rich": "15.0"}},
            "numpy<2.4,>=1.26 (has unknown)",
            "-m pip install",
        ),
        ({"python": "three"}, "orin has Python three as", "name it in orin's row: python"),
    ],
)
def test_a_device_that_lacks_something_is_told_how_to_get_it(
    home, make_cell, found, reason, next_step
):
    fleet = fleet_of(worker(python=python_that_tells(home, **found)))
    with pytest.raises(RuntimeMissing) as error:
        fleet.run(make_cell(TARGET), catalog.target(TARGET))
    assert reason in error.value.what
    assert next_step in error.value.next_step
    assert "rich" not in error.value.what


def test_the_runtime_is_asked_for_too_and_tomli_only_by_old_pythons(home, make_cell):
    for version, has_tomli in (("3.10.12", True), ("3.12.1", False)):
        fleet = fleet_of(worker(python=python_that_tells(home, python=version)))
        with pytest.raises(RuntimeMissing) as error:
            fleet.run(make_cell(TARGET), catalog.target(TARGET))
        assert "onnxruntime<" in error.value.next_step
        assert "torch" not in error.value.next_step
        assert ("tomli" in error.value.next_step) is has_tomli


def test_devices_with_one_label_must_be_alike(make_cell, monkeypatch):
    fleet = fleet_of(worker("one"), worker("two"))
    for number, device in enumerate(fleet._devices):
        machine = f"machine {number}"
        monkeypatch.setattr(
            device, "host", lambda *_, machine=machine: Host(label="", machine=machine, versions={})
        )
    assert fleet.capacity(Host(label="x86", machine="", versions={})) == 2
    with pytest.raises(BadInput, match="with the label x86 differ: one: machine 0"):
        fleet.run(make_cell(TARGET), catalog.target(TARGET))


@pytest.mark.usefixtures("made_parcels")
def test_devices_run_at_the_same_time_and_one_cell_each(make_cell, monkeypatch):
    fleet = fleet_of(worker("one"), worker("two"), worker("gone"))
    running: list[str] = []
    most: list[int] = []

    def run(name):
        assert name not in running
        running.append(name)
        time.sleep(0.3)
        most.append(len(running))
        running.remove(name)
        return ()

    for device in fleet._devices:
        name = device.worker.name
        if name != "gone":
            here = Host(label="x86", machine="a machine", versions={})
            monkeypatch.setattr(device, "host", lambda *_, here=here: here)
        monkeypatch.setattr(device, "run", lambda *_, name=name: run(name))
    asked = (make_cell(TARGET), catalog.target(TARGET))
    threads = [Thread(target=fleet.run, args=asked) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 4
    assert max(most) == 2, "the one that is gone gets none"


def test_of_what_a_device_prints_the_end_is_read(monkeypatch):
    monkeypatch.setattr("edgekit.matrix.fleets.connection._MOST_BYTES", 100)
    chatter = "i=0; while [ $i -lt 100 ]; do echo noise; i=$((i+1)); done; echo answer"
    reply = ask_over_ssh(
        "orin", ("sh", "-c", chatter), Message(chunks=()), seconds=30, stop=Event()
    )
    assert len(reply.stdout) == 100
    assert reply.stdout.endswith(b"noise\nanswer\n")


HANGS = ("sh", "-c", "echo $$ > pid; exec cat > /dev/null")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["time", "stop"])
def test_a_connection_ends_by_time_or_when_it_is_stopped(home, by):
    stop = Event()
    if by == "stop":
        Thread(target=lambda: (time.sleep(0.5), stop.set())).start()
    seconds = 1 if by == "time" else 30
    start = time.monotonic()
    message = Message(chunks=(b"x",), held=True)
    reply = ask_over_ssh("orin", HANGS, message, seconds=seconds, stop=stop)
    assert reply.exit_code is None
    assert time.monotonic() - start < 10


def test_an_answer_that_is_none(home, make_cell):
    program = home / "python"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(Unreachable, match="orin answers something else"):
        fleet_of(worker(python=str(program))).run(make_cell(TARGET), catalog.target(TARGET))


def test_without_ssh(monkeypatch, make_cell):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeMissing, match="ssh cannot be started"):
        fleet_of(worker()).run(make_cell(TARGET), catalog.target(TARGET))
