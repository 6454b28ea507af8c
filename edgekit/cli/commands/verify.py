"""`edgekit verify`: compare the masks of a bundle with those of PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say
from edgekit.cli.options import Weights

if TYPE_CHECKING:
    from edgekit.verification.verdict import Verdict


def verify(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    *,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="A folder of photos or a COCO JSON. Default: bundled ones."),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="COCO.json",
            help="Take the photos of this JSON; --photos is then their folder, if elsewhere.",
        ),
    ] = None,
    weights: Weights = None,
    min_iou: Annotated[
        float | None,
        typer.Option(
            "--min-iou", min=0, max=1, help="Require this minimum instead of the target's."
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures; '-' is stdout.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Draw the worst prompts.")
    ] = None,
) -> None:
    """Compare the masks of BUNDLE with those of the PyTorch reference."""
    from edgekit.cli.options import require_picture, require_writable
    from edgekit.cli.progress import reporting
    from edgekit.cli.verdict import exit_code, print_verdict
    from edgekit.pipeline import VerifyRequest
    from edgekit.pipeline import verify as run
    from edgekit.verification import comparison_picture

    if picture:
        require_picture(picture)
    if json_file and json_file != "-":
        require_writable(Path(json_file))
    request = VerifyRequest(
        bundle=bundle,
        photos=photos,
        annotations=annotations,
        weights=tuple(weights or ()),
        min_iou=min_iou,
    )
    with reporting() as report:
        verdict = run(request, report=report)
    if json_file:
        _write_json(verdict, json_file)
    print_verdict(verdict, stream="stderr" if json_file == "-" else "stdout")
    if picture and verdict.worst_masks:
        comparison_picture(verdict).save(picture)
        say(f"Worst prompts drawn: {picture}", err=True)
    raise typer.Exit(exit_code(verdict))


def _write_json(verdict: Verdict, where: str) -> None:
    from edgekit.cli.console import json_text, print_json
    from edgekit.store import write_atomic
    from edgekit.verification.verdict import to_json

    if where == "-":
        print_json(to_json(verdict))
    else:
        write_atomic(Path(where), json_text(to_json(verdict)) + "\n")
