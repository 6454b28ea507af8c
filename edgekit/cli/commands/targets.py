"""`edgekit targets`: the devices and runtimes that edgekit exports for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.records import Target


def targets(
    name: Annotated[
        str | None, typer.Argument(help="Show this target, or NAME.toml of yours, in full.")
    ] = None,
    json_file: Annotated[str | None, json_option("the table")] = None,
) -> None:
    """List the target profiles, or show one of them."""
    from edgekit.catalog import target_or_file
    from edgekit.catalog import targets as profiles

    if name is None:
        if json_file:
            write_json([_target_json(profile) for profile in profiles()], json_file)
        if json_file != STDOUT:
            _print_list(profiles())
        return
    profile = target_or_file(name)
    if json_file:
        write_json(_target_json(profile), json_file)
    if json_file != STDOUT:
        _print_one(profile)


def _target_json(target: Target) -> dict[str, object]:
    """The profile, whether this machine can export for it, and how its files run here."""
    from edgekit.lowering import obstacle
    from edgekit.runtime.opening import execution

    how = execution(target)
    return {
        **asdict(target),
        "export": obstacle(target) or "ready",
        "runs_here": how.label,
        "reason": how.reason,
    }


def _print_list(profiles: tuple[Target, ...]) -> None:
    from edgekit.cli.console import console, table

    columns = ("target", "device", "runtime", "precision", "gate: mean / min IoU", "export")
    listed = table(*columns, "runs here")
    for target in profiles:
        facts = _target_json(target)
        gate = f"{target.gate.mean_iou:g} / {target.gate.min_iou:g}"
        listed.add_row(
            target.name,
            target.device,
            target.runtime,
            target.precision,
            gate,
            str(facts["export"]),
            str(facts["runs_here"]),
        )
    console().print(listed)


def _print_one(target: Target) -> None:
    from edgekit.cli.console import console, table

    shown = table("", target.name)
    for key, value in _target_json(target).items():
        if key != "name":
            shown.add_row(key.replace("_", " "), _cell_text(value))
    console().print(shown)


def _cell_text(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {reason}" for key, reason in value.items()) or "none"
    return "dynamic" if value is None else str(value)
