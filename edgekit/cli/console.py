"""Where output goes: results on stdout, everything else on stderr. Rich is imported when used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 160
"""Columns where no terminal tells its own: Rich's default of 80 would cut tables in logs."""


def console(stream: str = "stdout") -> Console:
    """A Rich console on "stdout" or "stderr"."""
    from rich.console import Console

    opened = Console(stderr=stream == "stderr", highlight=False)
    if not opened.is_terminal:
        opened.width = PIPE_WIDTH
    return opened


def table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """An empty table with these columns; those in `right` hold figures and align right."""
    from rich import box
    from rich.table import Table

    made = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_json(value: object) -> None:
    """Print `value` as JSON on stdout, and nothing else."""
    typer.echo(json_text(value))


def json_text(value: object) -> str:
    """Indented JSON; NaN is refused because JSON has none."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)


def megabytes(size: int) -> str:
    """A file size for people: 12.3 MB."""
    return f"{size / 1e6:.1f} MB"
