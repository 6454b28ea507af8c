"""Output: results go to stdout, everything else to stderr. Rich is imported when it is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 160
"""Columns for pipes and logs, where Rich's default of 80 would wrap the tables."""


def console(stream: str = "stdout") -> Console:
    """A Rich console on "stdout" or "stderr"."""
    from rich.console import Console

    printer = Console(stderr=stream == "stderr", highlight=False)
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


def print_json(value: object) -> None:
    """Print `value` as JSON on stdout."""
    typer.echo(json_text(value))


def json_text(value: object) -> str:
    """Indented JSON.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)


def megabytes(size: int) -> str:
    """A file size as text, such as "12.3 MB" (10^6 bytes)."""
    return f"{size / 1e6:.1f} MB"
