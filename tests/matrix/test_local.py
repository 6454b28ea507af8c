"""The local fleet: processes on a leash, within limits, one cell at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from edgekit import catalog, store
from edgekit.interpreter import python_command
from edgekit.matrix import Cell, Measure
from edgekit.matrix.fleets import here, turns
from edgekit.matrix.fleets import local as local_module
from edgekit.matrix.fleets.local import LocalFleet
from edgekit.matrix.leash import leashed
from edgekit.matrix.process import Ended, Limits, run_limited
from edgekit.matrix.steps import commands_of
from edgekit.records import NATIVE, Execution

GENEROUS = Limits(seconds=60, bytes=4 * 10**9)
CELL = Cell(
    model="nanosam",
    target="x86-fp32",
    weights=("seeded",),
    photos="photos",
    measures=(Measure.VERIFY, Measure.BENCH),
)
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
GREEDY = "import time; held = bytearray(300_000_000); time.sleep(60)"


def run(tmp_path: Path, code: str, limits: Limits = GENEROUS, stop: Event | None = None) -> Ended:
    return run_limited(
        python_command(code),
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        limits=limits,
        stop=stop or Event(),
    )


def is_gone(pid: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("code", [0, 1, 3, 70])
def test_an_exit_code_and_what_was_printed(tmp_path, code):
    ended = run(tmp_path, f"import sys; print('out'); print('err', file=sys.stderr); exit({code})")
    assert (ended.exit_code, ended.stopped) == (code, None)
    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "err").read_text() == "err\n"


@pytest.mark.slow
def test_a_time_limit_ends_a_process_and_its_children(tmp_path):
    ended = run(tmp_path, WITH_CHILD, Limits(seconds=2, bytes=10**10))
    assert (ended.exit_code, ended.stopped) == (None, "time")
    assert 2 <= ended.seconds < 10
    assert is_gone(int((tmp_path / "out").read_text()))


def test_a_memory_budget_ends_a_process(tmp_path):
    ended = run(tmp_path, GREEDY, Limits(seconds=30, bytes=200_000_000))
    assert (ended.exit_code, ended.stopped) == (None, "memory")
    assert ended.peak_bytes > 200_000_000


def test_what_a_process_leaves_behind_ends_with_it(tmp_path):
    assert run(tmp_path, WITH_CHILD.replace("time.sleep(60)\n", "")).exit_code == 0
    assert is_gone(int((tmp_path / "out").read_text()))


def test_a_stop_ends_a_process_from_another_thread(tmp_path):
    stop = Event()
    Thread(target=lambda: (time.sleep(0.5), stop.set())).start()
    assert run(tmp_path, "import time; time.sleep(60)", stop=stop).exit_code == -signal.SIGKILL


def test_no_time_left_ends_a_process_at_once(tmp_path):
    assert run(tmp_path, "import time; time.sleep(60)", Limits(seconds=-1, bytes=1)).stopped


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, False)],
)
def test_only_cells_that_are_not_timed_share_a_machine(tmp_path, first, second, together):
    folders = tmp_path / "a", tmp_path / "b"
    taken = Event()

    def take_turn():
        with turns.turn(folders[1], Event(), timed=second):
            taken.set()

    with turns.turn(folders[0], Event(), timed=first):
        waiting = Thread(target=take_turn)
        waiting.start()
        assert taken.wait(5 if together else 0.3) == together
    waiting.join(10)
    assert taken.is_set()


PARENT = """
import sys, time
from pathlib import Path
from threading import Event
from edgekit.matrix.process import Limits, run_limited
import edgekit.matrix.leash as leash

hang = "import runpy; runpy.run_module = lambda *_, **__: __import__('time').sleep(60)\\n"
leash._START = hang + leash._START.replace("follow(", "print(__import__('os').getpid(), flush=True)"
    "; follow(")
folder = Path(sys.argv[1])
run_limited(leash.leashed(("doctor",)), stdout=folder / "pid", stderr=folder / "err",
            limits=Limits(seconds=60, bytes=10**10), stop=Event())
"""


@pytest.mark.slow
def test_a_leashed_process_ends_with_a_killed_parent(tmp_path):
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(root)}
    )
    until = time.monotonic() + 30
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < until
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert is_gone(child)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [
        (("targets", "x86-fp32", "--json"), 0, '"name": "x86-fp32"'),
        (("targets", "x87-fp32"), 2, ""),
    ],
)
def test_a_leash_runs_an_edgekit_command(tmp_path, command, code, printed):
    ended = run_limited(
        leashed(command),
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        limits=GENEROUS,
        stop=Event(),
    )
    assert ended.exit_code == code, (tmp_path / "err").read_text()
    assert printed in (tmp_path / "out").read_text()


# --- the steps of a cell --------------------------------------------------------------------------


def test_the_commands_of_a_cell():
    assert {name: " ".join(words) for name, words in commands_of(CELL).items()} == {
        "export": "export nanosam --target x86-fp32 --weights seeded --out dist --no-verify --json",
        "verify": "verify dist/nanosam-x86-fp32 --photos photos --weights seeded --json - "
        "--picture -",
        "bench": "bench dist/nanosam-x86-fp32 --against pytorch --rounds 7 --json",
    }


def test_weights_that_are_files_leave_out_pytorch(tmp_path):
    weights = tmp_path / "w.pt"
    weights.write_text("")
    cell = Cell(
        model="nanosam",
        target="x86-fp32",
        weights=(f"{weights}#model",),
        measures=(Measure.VERIFY, Measure.BENCH),
    )
    assert "--against" not in commands_of(cell)["bench"]


def by_code(**codes: int | None):
    """In place of a process: each step ends with its code, and says where it ran."""

    def ended(command, *, stdout, stderr, limits, stop):
        name = command[-1]
        stdout.write_text("{}")
        stderr.write_text(f"line\nin {stdout.parent}/nanosam-x86-fp32\n")
        return Ended(exit_code=codes[name], seconds=1.0, peak_bytes=5)

    return ended


@pytest.mark.parametrize(
    ("codes", "ran"),
    [
        ({"export": 0, "verify": 0, "bench": 0}, ["export", "verify", "bench"]),
        ({"export": 0, "verify": 1, "bench": 0}, ["export", "verify", "bench"]),
        ({"export": 0, "verify": 3}, ["export", "verify"]),
        ({"export": 3}, ["export"]),
        ({"export": None}, ["export"]),
    ],
)
def test_a_cell_goes_on_until_a_step_fails(monkeypatch, codes, ran):
    monkeypatch.setattr(local_module, "leashed", lambda command: [command[0]])
    monkeypatch.setattr(turns, "run_limited", by_code(**codes))
    runs = LocalFleet(GENEROUS).run(CELL, catalog.target(CELL.target))
    assert [run.step.name for run in runs] == ran
    assert runs[0].step.log == "line\nin dist/nanosam-x86-fp32"
    assert runs[0].step.command == commands_of(CELL)["export"]
    assert list((store.cache_dir() / "matrix").iterdir()) == [], "the bundle is removed"


@pytest.mark.parametrize(
    ("target", "how", "codes", "ran"),
    [
        ("jetson-fp16", NATIVE, {"build": 0, "verify": 0}, ["export", "build", "verify"]),
        ("jetson-fp16", NATIVE, {"build": 3}, ["export", "build"]),
        ("jetson-fp16", Execution(how="emulated"), {"verify": 0}, ["export", "verify"]),
        ("x86-fp32", NATIVE, {"verify": 0}, ["export", "verify"]),
    ],
)
def test_a_device_of_its_own_builds_engines_before_it_verifies(
    monkeypatch, make_cell, target, how, codes, ran
):
    monkeypatch.setattr(here, "execution", lambda _: how)
    monkeypatch.setattr(local_module, "leashed", lambda command: [command[0]])
    script = f"nanosam-{target}/build.sh"
    answer = by_code(export=0, **codes)

    def ended(command, **where):
        assert (command[0] == "bash") == command[-1].endswith(script)
        return answer(["build" if command[0] == "bash" else command[0]], **where)

    monkeypatch.setattr(turns, "run_limited", ended)
    runs = LocalFleet(GENEROUS).run(make_cell(target), catalog.target(target))
    assert [run.step.name for run in runs] == ran
    built = [run.step.command for run in runs if run.step.name == "build"]
    assert built in ([], [("bash", f"dist/{script}")])


def test_the_steps_of_a_cell_share_its_time(monkeypatch):
    seconds = []

    def slow(command, *, stdout, stderr, limits, stop):
        seconds.append(limits.seconds)
        time.sleep(0.2)
        return by_code(export=0, verify=0, bench=0)(
            command, stdout=stdout, stderr=stderr, limits=limits, stop=stop
        )

    monkeypatch.setattr(local_module, "leashed", lambda command: [command[0]])
    monkeypatch.setattr(turns, "run_limited", slow)
    LocalFleet(GENEROUS).run(CELL, catalog.target(CELL.target))
    assert seconds[0] > seconds[1] + 0.19 > seconds[2] + 0.38


@pytest.mark.slow
def test_two_fleets_on_one_machine_take_turns(monkeypatch):
    running, most = [], []

    def counted(command, *, stdout, stderr, limits, stop):
        running.append(command)
        most.append(len(running))
        time.sleep(0.1)
        running.pop()
        return by_code(export=0, verify=0, bench=0)(
            command, stdout=stdout, stderr=stderr, limits=limits, stop=stop
        )

    monkeypatch.setattr(local_module, "leashed", lambda command: [command[0]])
    monkeypatch.setattr(turns, "run_limited", counted)
    asked = (CELL, catalog.target(CELL.target))
    threads = [Thread(target=LocalFleet(GENEROUS).run, args=asked) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_this_machine_is_the_host_of_every_target():
    hosts = [LocalFleet(GENEROUS).host(target) for target in catalog.targets()]
    assert {host.label for host in hosts} == {"local"}
    for target, host in zip(catalog.targets(), hosts, strict=True):
        assert "cores" in host.machine
        assert {"python", "torch"} <= host.versions.keys(), target.name
