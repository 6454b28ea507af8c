"""Checks before an export, which takes minutes. They import nothing heavy."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog.runtimes import install_command, runtime_row
from edgekit.doctor.machine import free_disk_mb
from edgekit.doctor.packages import packages_of
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import Target

DISK_MB = 1000
"""The largest model's bundle in FP16 and its cached graphs need up to twice this; the usual ones
need a tenth."""
MEMORY_MB = 3000
"""Exports were measured at 2 to 4 GB. With less free memory, the machine swaps."""


def preflight(target: Target, out: Path) -> tuple[str, ...]:
    """Check packages, disk and memory for an export; returns warnings.

    Raises:
        RuntimeMissing: a package is missing, out of bounds, or known to be bad.
        BadInput: less than 1 GB of disk is free.
    """
    row = runtime_row(target.runtime)
    runtime = None if row.exports_without else row.name
    for extra in filter(None, ("export", runtime, row.converter)):
        for package in packages_of(extra):
            if package.problem:
                raise RuntimeMissing(
                    f"The export for {target.name} would fail: {package.problem}.",
                    expected=f"{package.distribution}{package.wanted}",
                    next_step=f"{install_command(extra)}   (edgekit doctor shows every package)",
                )
    free = free_disk_mb(out)
    if free < DISK_MB:
        raise BadInput(
            f"Only {free} MB are free where {out} lies.",
            expected=f"at least {DISK_MB} MB for graphs and bundle",
            next_step="free some space, or choose a folder on another disk with --out",
        )
    return _memory_warning()


def _memory_warning() -> tuple[str, ...]:
    import psutil

    free = psutil.virtual_memory().available // 10**6
    if free >= MEMORY_MB:
        return ()
    return (f"Only {free} MB of memory are free; an export may take {MEMORY_MB} MB and more.",)
