"""The hardware: memory, disk, GPUs, and the CPU features that make a precision fast."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgekit.runtimes.cpu import command_output, cpu_features, cpu_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU, as nvidia-smi lists it. `compute_capability` is text such as "8.7"."""

    name: str
    compute_capability: str
    driver: str
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware that a run can use. Sizes are in MB (10^6 bytes).

    `cores` are those that this process may use. `no_gpu` says why `gpus` is empty.
    """

    system: str
    architecture: str
    python: str
    cpu: str
    cores: int
    cpu_features: tuple[str, ...]
    memory_mb: int
    memory_free_mb: int
    disk_free_mb: int
    gpus: tuple[Gpu, ...]
    no_gpu: str | None = None


def read_machine(folder: Path = Path()) -> Machine:
    """Read the hardware of this machine; `disk_free_mb` is that of `folder`'s file system."""
    import psutil

    memory = psutil.virtual_memory()
    gpus, no_gpu = _gpus()
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=platform.python_version(),
        cpu=cpu_name(),
        cores=usable_cores(),
        cpu_features=cpu_features(),
        memory_mb=memory.total // 10**6,
        memory_free_mb=memory.available // 10**6,
        disk_free_mb=free_disk_mb(folder),
        gpus=gpus,
        no_gpu=no_gpu,
    )


def free_disk_mb(folder: Path) -> int:
    """Free disk in MB at `folder`, which need not exist yet."""
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    return shutil.disk_usage(there).free // 10**6


def usable_cores() -> int:
    """CPU cores that this process may use: in a container, often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """NVIDIA GPUs, and if there are none, why."""
    if shutil.which("nvidia-smi") is None:
        return (), "nvidia-smi is not on the PATH (Jetsons before JetPack 7 have none)"
    listed = command_output(
        "nvidia-smi",
        "--query-gpu=name,compute_cap,driver_version,memory.total",
        "--format=csv,noheader,nounits",
    )
    rows = [[cell.strip() for cell in line.split(",")] for line in (listed or "").splitlines()]
    gpus = tuple(
        Gpu(name=name, compute_capability=capability, driver=driver, memory_mb=_megabytes(memory))
        for name, capability, driver, memory in (row for row in rows if len(row) == 4)
    )
    return gpus, None if gpus else "nvidia-smi lists no GPU: is the driver loaded?"


def _megabytes(mebibytes: str) -> int:
    """MB from nvidia-smi's MiB; 0 for [N/A], which it prints on boards with shared memory."""
    return int(mebibytes) * 2**20 // 10**6 if mebibytes.isdigit() else 0
