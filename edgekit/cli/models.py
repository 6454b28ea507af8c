"""`edgekit models`: what can be exported."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.records import CheckpointFile, ModelRow


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """List the models, their sizes, licences and checkpoints."""
    from edgekit.cli.console import console, print_json, table
    from edgekit.models.registry import models as rows

    if as_json:
        print_json([asdict(row) for row in rows()])
        return
    columns = ("model", "what it is", "parameters", "licence", "weights", "origin")
    listed = table(*columns, right=("parameters",))
    for row in rows():
        parameters = f"{row.parameters / 1e6:.1f} M"
        listed.add_row(row.name, row.title, parameters, row.licence, _weights(row), row.paper)
    console().print(listed)


def _weights(row: ModelRow) -> str:
    """What `--weights` can be, one per line."""
    from edgekit.cli.console import megabytes
    from edgekit.models.checkpoints import bundled_path

    lines = [f"official: {_file(file)}" for file in row.checkpoints]
    if bundled := bundled_path(row):
        lines.append(f"bundled: {megabytes(bundled.stat().st_size)}")
    return "\n".join(lines)


def _file(file: CheckpointFile) -> str:
    from edgekit.cli.console import megabytes

    return f"{file.filename}, {megabytes(file.bytes)}" if file.bytes else file.filename
