"""`edgekit targets`: where a model can go."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.records import Target


def targets(
    name: Annotated[str | None, typer.Argument(help="Show this target in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """List the target profiles, or show one of them."""
    from edgekit.catalog import target
    from edgekit.catalog import targets as profiles
    from edgekit.cli.console import print_json

    if name is None:
        if as_json:
            print_json([_described(profile) for profile in profiles()])
        else:
            _print_list(profiles())
        return
    if as_json:
        print_json(_described(target(name)))
    else:
        _print_one(target(name))


def _described(target: Target) -> dict[str, object]:
    status, detail = _status(target)
    return {**asdict(target), "status": status, "detail": detail}


def _status(target: Target) -> tuple[str, str]:
    """Whether edgekit can export for this target on this machine, in a word and in a sentence."""
    from edgekit import backends

    if reason := backends.not_yet(target):
        return "not yet", reason
    found = backends.probe(target.runtime)
    if not found.available:
        return f"needs edgekit[{target.runtime}]", found.reason or ""
    return "ready", f"{target.runtime} {found.version}"


def _print_list(profiles: tuple[Target, ...]) -> None:
    from edgekit.cli.console import console, table

    listed = table("target", "device", "runtime", "precision", "gate: mean / min IoU", "status")
    for target in profiles:
        gate = f"{target.gate.mean_iou:g} / {target.gate.min_iou:g}"
        row = (
            target.name,
            target.device,
            target.runtime,
            target.precision,
            gate,
            _status(target)[0],
        )
        listed.add_row(*row)
    console().print(listed)


def _print_one(target: Target) -> None:
    from edgekit.cli.console import console, table

    shown = table("", target.name)
    for key, value in _described(target).items():
        if key != "name":
            shown.add_row(key.replace("_", " "), _in_words(value))
    console().print(shown)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {reason}" for key, reason in value.items()) or "none"
    return "dynamic" if value is None else str(value)
