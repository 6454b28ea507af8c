"""`edgekit cache`: list, prune and verify the cache of finished stages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.arguments import Command, Group
from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.store import CacheEntry

cache = typer.Typer(
    cls=Group,
    help="List the cache of finished stages, or prune or verify it.",
    rich_markup_mode=None,
    add_completion=False,
)


@cache.callback(invoke_without_command=True)
def list_entries(
    context: typer.Context,
    json_file: Annotated[str | None, json_option("the list")] = None,
) -> None:
    """List the cache of finished stages, the least recently used first."""
    if context.invoked_subcommand:
        _refuse_json(context.invoked_subcommand, json_file)
        return
    from edgekit.store import cache_dir, cache_entries, cache_limit

    entries = cache_entries()
    if json_file:
        listed = {
            "folder": str(cache_dir()),
            "limit_bytes": cache_limit(),
            "entries": [_entry_json(entry) for entry in entries],
        }
        write_json(listed, json_file)
    if json_file != STDOUT:
        _print_entries(entries)


@cache.command(cls=Command)
def prune(
    to: Annotated[
        float | None,
        typer.Option("--to", metavar="GB", min=0, help="Keep at most this. Default: the limit."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every entry.")] = False,
) -> None:
    """Remove entries, the least recently used first. Not while an export or training runs."""
    from edgekit.cli.progress import reporting
    from edgekit.errors import BadInput
    from edgekit.store import cache_entries, cache_limit, entries_above, remove_entry

    if everything and to is not None:
        raise BadInput(
            "--all removes everything, so --to has no meaning beside it.",
            expected="--to GB or --all",
            next_step="leave one of them out",
        )
    limit = cache_limit() if to is None else int(to * 1e9)
    entries = cache_entries()
    pruned = list(entries) if everything else entries_above(entries, limit)
    with reporting() as report, report.stage("prune"):
        removed = []
        for done, entry in enumerate(pruned, start=1):
            if remove_entry(entry):
                removed.append(entry)
            report.progress(done, len(pruned))
    say(f"Removed {_total(removed)}; {_total(cache_entries())} left.")


@cache.command(cls=Command)
def verify() -> None:
    """Compare every file with its SHA-256, and remove entries that are damaged."""
    from edgekit.cli.progress import reporting
    from edgekit.store import cache_entries, entry_damage, remove_entry

    entries = cache_entries()
    damaged = {}
    with reporting() as report, report.stage("verify"):
        for done, entry in enumerate(entries, start=1):
            if (problem := entry_damage(entry.path)) and remove_entry(entry):
                damaged[entry.key] = problem
            report.progress(done, len(entries))
    for key, problem in damaged.items():
        say(f"Removed {key}: {problem}.")
    say(f"Verified {_total(entries)}; {len(damaged)} damaged.")


def _refuse_json(command: str, json_file: str | None) -> None:
    from edgekit.errors import BadInput

    if json_file:
        raise BadInput(
            f"--json is of the list, and 'cache {command}' prints none.",
            expected=f"edgekit cache --json, or edgekit cache {command}",
        )


def _entry_json(entry: CacheEntry) -> dict[str, object]:
    return {
        "key": entry.key,
        "kind": entry.kind,
        "bytes": entry.bytes,
        "last_used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.last_used)),
    }


def _print_entries(entries: Sequence[CacheEntry]) -> None:
    from edgekit.cli.console import console, megabytes, table
    from edgekit.store import cache_dir, cache_limit

    listed = table("key", "kind", "size", "last used", right=("size",))
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
        listed.add_row(entry.key, entry.kind, megabytes(entry.bytes), used)
    console().print(listed)
    say(f"{_total(entries)} in {cache_dir()}; the limit is {cache_limit() / 1e9:g} GB.")


def _total(entries: Sequence[CacheEntry]) -> str:
    """ "3 entries, 1.25 GB"."""
    noun = "entry" if len(entries) == 1 else "entries"
    return f"{len(entries)} {noun}, {sum(entry.bytes for entry in entries) / 1e9:.2f} GB"
