"""`edgekit doctor`: what this machine has, and what to type for what it lacks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.doctor import Diagnosis, Machine, RuntimeHealth


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Check hardware, runtimes and versions, and name the command for whatever is missing."""
    from edgekit.cli.console import console, print_json
    from edgekit.cli.progress import reporting
    from edgekit.doctor import diagnose

    with reporting() as report, report.stage("doctor"):
        found = diagnose(Path(), on_check=report.progress)
    if as_json:
        print_json(asdict(found))
        return
    printer = console()
    printer.print(_machine_table(found.machine))
    printer.print(_runtime_table(found))
    for health in (found.export, *found.runtimes):
        if health.remedy:
            printer.print(f"{health.name}: {health.remedy}", markup=False)


def _machine_table(machine: Machine) -> object:
    from edgekit.cli.console import table
    from edgekit.doctor.machine import CPU_FEATURES

    shown = table("", "this machine")
    features = [f"{name} ({CPU_FEATURES[name]})" for name in machine.cpu_features]
    gpus = [
        f"{gpu.name}, compute capability {gpu.compute_capability}, driver {gpu.driver},"
        f" {gpu.memory_mb} MB"
        for gpu in machine.gpus
    ]
    for name, value in (
        ("system", f"{machine.system}, {machine.architecture}, Python {machine.python}"),
        ("CPU", f"{machine.cpu}, {machine.cores} cores for this process"),
        ("CPU features", "\n".join(features) or "none that a runtime uses"),
        ("GPU", "\n".join(gpus) or f"none: {machine.no_gpu}"),
        ("memory", f"{machine.memory_free_mb} of {machine.memory_mb} MB free"),
        ("disk", f"{machine.disk_free_mb} MB free here"),
    ):
        shown.add_row(name, value)
    return shown


def _runtime_table(found: Diagnosis) -> object:
    from edgekit.cli.console import table

    shown = table("part", "installed", "usable", "why not", "targets")
    for health in (found.export, *found.runtimes):
        targets = "all" if health is found.export else ", ".join(health.targets)
        usable = "[green]yes[/]" if health.usable else "[red]no[/]"
        shown.add_row(health.name, _versions(health), usable, health.reason or "", targets)
    return shown


def _versions(health: RuntimeHealth) -> str:
    have = [f"{p.distribution} {p.installed}" for p in health.packages if p.installed]
    return "\n".join(have) or "nothing"
