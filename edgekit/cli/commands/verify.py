"""`edgekit verify`: does the shipped file still segment like PyTorch?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.weights_option import Weights

if TYPE_CHECKING:
    from edgekit.verify.verdict import Verdict


def verify(
    bundle: Annotated[Path, typer.Argument(help="A folder written by `edgekit export`.")],
    *,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="A folder of photos or a COCO JSON. Default: bundled ones."),
    ] = None,
    weights: Weights = None,
    min_iou: Annotated[
        float | None,
        typer.Option("--min-iou", min=0, max=1, help="Demand this minimum, not the target's."),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures; '-' is stdout.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Draw the worst prompts.")
    ] = None,
) -> None:
    """Compare BUNDLE's masks with those of the PyTorch reference."""
    from edgekit.cli.output_file import check_picture, check_writable
    from edgekit.cli.progress import reporting
    from edgekit.cli.verdict import exit_code, print_verdict
    from edgekit.pipeline import verify as run
    from edgekit.verify import comparison_picture

    if picture:
        check_picture(picture)
    if json_file and json_file != "-":
        check_writable(Path(json_file))
    with reporting() as report:
        verdict = run(
            bundle,
            photos=photos,
            weights=tuple(weights or ()),
            min_iou=min_iou,
            report=report,
        )
    if json_file:
        _write_json(verdict, json_file)
    print_verdict(verdict, stream="stderr" if json_file == "-" else "stdout")
    if picture and verdict.worst_masks:
        comparison_picture(verdict).save(picture)
        typer.echo(f"Worst prompts drawn: {picture}", err=True)
    raise typer.Exit(exit_code(verdict))


def _write_json(verdict: Verdict, where: str) -> None:
    from edgekit.cli.console import json_text, print_json
    from edgekit.store import write_atomic
    from edgekit.verify.verdict import to_json

    if where == "-":
        print_json(to_json(verdict))
    else:
        write_atomic(Path(where), json_text(to_json(verdict)) + "\n")
