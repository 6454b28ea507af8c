"""Output: results go to stdout, everything else to stderr. Rich is imported when it is used.

Everything is printed by `console`, `say` or `write_json`. They show text of files literally.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STDOUT = "-"
"""The value of `--json` that prints."""

PIPE_WIDTH = 160
"""Columns for pipes and logs, where Rich's default of 80 would wrap the tables."""


def console(stream: str = "stdout") -> Console:
    """A Rich console on "stdout" or "stderr"."""
    from edgekit.cli.literal_console import LiteralConsole

    printer = LiteralConsole(stderr=stream == "stderr")
    if not printer.is_terminal:
        printer.width = PIPE_WIDTH
    return printer


def table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """An empty table with these columns. Those in `right` hold figures and are aligned right."""
    from rich import box
    from rich.table import Table

    empty = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for column in columns:
        empty.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return empty


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text on stdout or stderr."""
    from edgekit.store import escaped

    typer.echo(escaped(text), err=err)


def write_json(value: object, where: str) -> None:
    """Write `value` as JSON to a file; "-" is stdout."""
    from edgekit.store import write_atomic

    if where == STDOUT:
        typer.echo(json_text(value))
    else:
        write_atomic(Path(where), json_text(value) + "\n")


def json_text(value: object) -> str:
    """Indented JSON. Characters that do not print are written as escapes of JSON.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    # json escapes only the control characters below 32.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def megabytes(size: int) -> str:
    """A file size as text, such as "12.3 MB" (10^6 bytes)."""
    return f"{size / 1e6:.1f} MB"
