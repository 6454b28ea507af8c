"""No process that edgekit starts imports a module of the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.benchmark import Contestant
from edgekit.benchmark.worker import Worker, WorkerFailed
from edgekit.doctor import native_modules
from edgekit.interpreter import python_command

NAMES = (
    "onnxruntime",
    "multiprocessing",
    "numpy",
    "json",
    "typing",
    "openvino",
    "torch",
    "edgekit",
)


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A working directory whose modules write this file when they are imported."""
    marker = tmp_path / "ran"
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in NAMES:
        (hostile / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})")
    monkeypatch.chdir(hostile)
    return marker


@pytest.mark.parametrize("name", NAMES[:5])
def test_python_code_imports_nothing_from_there(marker, name, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    done = subprocess.run(python_command(f"import {name}"), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_arguments_are_handed_over(marker):
    command = python_command("print(sys.argv[1:])", "a b", "c")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['a b', 'c']\n"


@pytest.mark.parametrize("distribution", ["onnxruntime", "numpy", "openvino"])
def test_doctor(marker, distribution):
    assert native_modules.load_failure(distribution) is None
    assert native_modules._import_failure("json") is None
    assert not marker.exists()


def test_bench(marker):
    contestant = Contestant(
        name="gone",
        kind="bundle",
        runtime="none 1",
        execution="native",
        bytes=10,
        bundle=Path("nowhere"),
    )
    with (
        Worker(contestant, Path("p.jpg"), threads=1) as worker,
        pytest.raises(WorkerFailed, match="nowhere"),
    ):
        worker.wait_loaded()
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-P"]])
def test_the_module_as_a_command(marker, flags):
    if flags and sys.version_info < (3, 11):
        pytest.skip("-P is there from Python 3.11 on")
    (Path.cwd() / "edgekit.py").unlink()
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run(
        [sys.executable, *flags, "-m", "edgekit", "targets", "x86-fp32"],
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists()
