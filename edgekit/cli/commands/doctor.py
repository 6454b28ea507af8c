"""`edgekit doctor`: what this machine has, and the commands that install what it lacks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgekit.cli.console import STDOUT, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.doctor import Diagnosis, Machine, RuntimeHealth


def doctor(
    json_file: Annotated[str | None, json_option("all findings")] = None,
) -> None:
    """Check hardware, runtimes and versions, and show how to install what is missing."""
    from edgekit.cli.console import console
    from edgekit.cli.progress import reporting
    from edgekit.doctor import diagnose

    with reporting() as report, report.stage("doctor"):
        diagnosis = diagnose(Path(), on_check=report.progress)
    if json_file:
        write_json(asdict(diagnosis), json_file)
    if json_file == STDOUT:
        return
    printer = console()
    printer.print(_machine_table(diagnosis.machine))
    printer.print(_runtime_table(diagnosis))
    for health in (diagnosis.export, *diagnosis.runtimes):
        if health.remedy:
            printer.print(f"{health.name}: {health.remedy}")


def _machine_table(machine: Machine) -> object:
    from edgekit.cli.console import table
    from edgekit.runtimes.cpu import CPU_FEATURES

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


def _runtime_table(diagnosis: Diagnosis) -> object:
    from rich.text import Text

    from edgekit.cli.console import table

    shown = table("part", "installed", "usable", "why not", "makes files here", "runs files here")
    for health in (diagnosis.export, *diagnosis.runtimes):
        usable = Text("yes", "green") if health.usable else Text("no", "red")
        shown.add_row(
            health.name,
            _versions(health),
            usable,
            health.reason or "",
            _by_target({target.name: target.export for target in health.targets}),
            _by_target({target.name: target.runs_here for target in health.targets}),
        )
    return shown


def _versions(health: RuntimeHealth) -> str:
    installed = [f"{p.distribution} {p.installed}" for p in health.packages if p.installed]
    return "\n".join(installed) or "nothing"


def _by_target(answers: dict[str, str]) -> str:
    """The answer if all targets have the same one; otherwise each answer with its targets."""
    targets: dict[str, list[str]] = {}
    for target, answer in answers.items():
        targets.setdefault(answer, []).append(target)
    if len(targets) == 1:
        return next(iter(targets))
    return "\n".join(f"{answer} ({', '.join(names)})" for answer, names in targets.items())
