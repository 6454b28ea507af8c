"""This machine as a host of cells: what outcomes depend on, and how engines are built on it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from edgekit.catalog.runtimes import runtime_row
from edgekit.doctor import read_machine
from edgekit.doctor.packages import packages_of
from edgekit.matrix.cells import Cell, StepName
from edgekit.matrix.steps import FOLDER, bundle_name
from edgekit.records import Target
from edgekit.runtime.opening import execution

_BOARD = Path("/proc/device-tree/model")
"""On ARM; the CPU of a Jetson has no name of its own."""


@cache
def machine_here() -> str:
    """Board, CPU, cores, GPUs and system, in one line."""
    machine = read_machine()
    board = (_BOARD.read_text().rstrip("\0"),) if _BOARD.is_file() else ()
    gpus = (gpu.name for gpu in machine.gpus)
    system = f"{platform.system()} {machine.architecture}"
    return ", ".join((*board, machine.cpu, f"{machine.cores} cores", *gpus, system))


def maker_versions(runtime: str) -> dict[str, str]:
    """The versions of the packages that make a runtime's files."""
    converter = runtime_row(runtime).converter
    return _versions(("export", converter) if converter else ("export",))


def device_versions(runtime: str) -> dict[str, str]:
    """The versions of Python and of the packages that run a runtime's files."""
    return {"python": platform.python_version(), **_versions((runtime_row(runtime).name,))}


@cache
def _versions(extras: tuple[str, ...]) -> dict[str, str]:
    packages = [package for extra in extras for package in packages_of(extra)]
    return {package.distribution: package.installed or "not installed" for package in packages}


def build_command(
    cell: Cell, target: Target, folder: str = FOLDER
) -> dict[StepName, tuple[str, ...]]:
    """The script of the bundle in `folder` that builds its engines, which only their device can.

    Empty where the target does not run natively here, and for runtimes that open files as they are.
    """
    if runtime_row(target.runtime).bundle_files is None or execution(target).how != "native":
        return {}
    return {"build": ("bash", f"{folder}/{bundle_name(cell)}/build.sh")}
