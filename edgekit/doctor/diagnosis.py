"""Machine and packages together: what can be exported and run here, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgekit import catalog
from edgekit.catalog.runtimes import RUNTIMES, install_command
from edgekit.doctor.machine import Machine, read_machine
from edgekit.doctor.packages import PackageHealth, import_failure, packages_of

OnCheck = Callable[[int, int], None]

_SAME_TIME = 2
"""Imports tried at once: each may take a core and a gigabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHealth:
    """One extra of edgekit: the export, or a runtime.

    `usable`: its packages are here, in bounds and importable. `reason` says why not, `remedy` what
    to type. `targets` are the profiles that need it.
    """

    name: str
    packages: tuple[PackageHealth, ...]
    targets: tuple[str, ...]
    usable: bool
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All there is to say about this machine."""

    machine: Machine
    export: RuntimeHealth
    runtimes: tuple[RuntimeHealth, ...]


def diagnose(folder: Path = Path(), *, on_check: OnCheck | None = None) -> Diagnosis:
    """Look at hardware and packages; imports are tried, a few seconds in all.

    Args:
        folder: where exports would be written (for the free disk).
        on_check: called with (done, total) as parts are checked.
    """
    names = ("export", *RUNTIMES)
    found: list[RuntimeHealth] = []
    with ThreadPoolExecutor(_SAME_TIME) as pool:
        for health in pool.map(_health, names):
            found.append(health)
            if on_check:
                on_check(len(found), len(names))
    return Diagnosis(machine=read_machine(folder), export=found[0], runtimes=tuple(found[1:]))


def _health(extra: str) -> RuntimeHealth:
    packages = packages_of(extra)
    problems = [package.problem for package in packages if package.problem]
    reason = problems[0] if problems else _failure(packages)
    return RuntimeHealth(
        name=extra,
        packages=packages,
        targets=tuple(t.name for t in catalog.targets() if extra in ("export", t.runtime)),
        usable=reason is None,
        reason=reason,
        remedy=None if reason is None else install_command(extra),
    )


def _failure(packages: tuple[PackageHealth, ...]) -> str | None:
    failures = (import_failure(package.distribution) for package in packages)
    return next((failure for failure in failures if failure), None)
