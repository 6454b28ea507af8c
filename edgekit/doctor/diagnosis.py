"""Machine and packages together: what can be made and run here, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit import catalog
from edgekit.catalog.runtimes import RUNTIMES, install_command, runtime_row
from edgekit.doctor.machine import Machine, read_machine
from edgekit.doctor.native_modules import load_failure
from edgekit.doctor.packages import PackageHealth, packages_of
from edgekit.lowering import obstacle
from edgekit.records import Execution, Target
from edgekit.runtime.opening import execution
from edgekit.runtimes import runtime

OnCheck = Callable[[int, int], None]

_AT_ONCE = 2
"""Packages loaded at the same time: each may take a core and a gigabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What this machine can do for one target, with the keys of `edgekit targets --json`.

    `export`: "ready", or why its files cannot be made here. `runs_here`: "native", "emulated by"
    and the stand-in, or "not run". `reason`: why not native.
    """

    name: str
    export: str
    runs_here: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHealth:
    """One extra of edgekit: "export", or a runtime.

    `usable`: its packages are installed, in bounds, and load. If not, `reason` says why and
    `remedy` is the command to type. `targets` are those of the runtime; "export" lists none.
    """

    name: str
    packages: tuple[PackageHealth, ...]
    usable: bool
    reason: str | None = None
    remedy: str | None = None
    targets: tuple[TargetHealth, ...] = ()

    @property
    def fails_to_load(self) -> bool:
        """Whether its packages are installed and in bounds, and still do not load."""
        return not self.usable and not any(package.problem for package in self.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The hardware, the packages for exports, and every runtime."""

    machine: Machine
    export: RuntimeHealth
    runtimes: tuple[RuntimeHealth, ...]


def diagnose(folder: Path = Path(), *, on_check: OnCheck | None = None) -> Diagnosis:
    """Check the hardware and all packages. This loads their native code.

    Args:
        folder: where exports would be written (for the free disk).
        on_check: called with (done, total) after each extra.
    """
    extras = ("export", *RUNTIMES)
    checked: list[RuntimeHealth] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for health in pool.map(_health, extras):
            checked.append(health)
            if on_check:
                on_check(len(checked), len(extras))
    export, *runtimes = checked
    return Diagnosis(
        machine=read_machine(folder),
        export=export,
        runtimes=tuple(replace(health, targets=_targets(health, export)) for health in runtimes),
    )


def _health(extra: str) -> RuntimeHealth:
    packages = packages_of(extra)
    problem = next((package.problem for package in packages if package.problem), None)
    reason = problem or _load_failure(packages)
    return RuntimeHealth(
        name=extra,
        packages=packages,
        usable=reason is None,
        reason=reason,
        remedy=None if reason is None else install_command(extra),
    )


def _load_failure(packages: tuple[PackageHealth, ...]) -> str | None:
    failures = (load_failure(package.distribution) for package in packages)
    return next((failure for failure in failures if failure), None)


def _targets(health: RuntimeHealth, export: RuntimeHealth) -> tuple[TargetHealth, ...]:
    return tuple(
        _target(target, health, export)
        for target in catalog.targets()
        if target.runtime == health.name
    )


def _target(target: Target, health: RuntimeHealth, export: RuntimeHealth) -> TargetHealth:
    run = _execution(target, health)
    return TargetHealth(
        name=target.name,
        export=_obstacle(target, health, export) or "ready",
        runs_here=run.label,
        reason=run.reason,
    )


def _obstacle(target: Target, health: RuntimeHealth, export: RuntimeHealth) -> str | None:
    """Why the target's files cannot be made here, from the most general reason on."""
    row = runtime_row(target.runtime)
    converters = packages_of(row.converter) if row.converter else ()
    reasons = [export.reason, *(package.problem for package in converters)]
    if not row.exports_without:
        reasons.append(health.reason)
    return next(filter(None, reasons), None) or obstacle(target)


def _execution(target: Target, health: RuntimeHealth) -> Execution:
    """How the target's files run; not at all on a runtime whose packages fail to load."""
    if health.fails_to_load and runtime(target.runtime).execution(target).how != "not run":
        return Execution(how="not run", reason=health.reason)
    return execution(target)
