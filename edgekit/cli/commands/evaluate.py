"""`edgekit evaluate`: score a bundle's masks against annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.verification.evaluation import Means

_TITLES = {
    "box": "box",
    "filled_box": "  (the box filled in)",
    "point": "one point",
    "best_of_three": "one point, best of 3",
    "chosen": "one point, chosen of 3",
    "box_point": "box and point",
}


def evaluate(
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    annotations: Annotated[
        Path,
        typer.Argument(
            metavar="COCO.json",
            help="Instances; their photos beside it, in images/ or as COCO lays them out.",
        ),
    ],
    *,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", metavar="DIR", help="Where the photos are, if elsewhere."),
    ] = None,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write the means as JSON; '-' is stdout."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="MD", help="Write the figures into this model card."),
    ] = None,
) -> None:
    """Score BUNDLE's masks against annotated photos: mean IoU by kind of prompt and object size."""
    from edgekit.cli.console import json_text, print_json
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import EvaluateRequest
    from edgekit.pipeline import evaluate as run
    from edgekit.store import write_atomic
    from edgekit.train.result.model_card import read_card, with_figures
    from edgekit.verification.evaluation import to_json

    old_card = read_card(card) if card else ""
    with reporting() as report:
        request = EvaluateRequest(bundle=bundle, annotations=annotations, photos=photos)
        evaluation = run(request, report=report)
    if card:
        measured_on = f"{evaluation.photos} photos of {annotations.name}"
        write_atomic(card, with_figures(old_card, evaluation.means, measured_on=measured_on))
    if json_file == "-":
        print_json(to_json(evaluation.means, ran=evaluation.ran))
        return
    if json_file:
        write_atomic(
            Path(json_file), json_text(to_json(evaluation.means, ran=evaluation.ran)) + "\n"
        )
    _print(evaluation.means, ran=evaluation.ran)


def _print(means: tuple[Means, ...], *, ran: str) -> None:
    from edgekit.cli.console import console, table

    sizes = [f"{row.size} ({row.instances})" for row in means]
    listed = table(f"mean IoU with the annotations, {ran}", *sizes, right=tuple(sizes))
    for kind, title in _TITLES.items():
        listed.add_row(title, *(f"{row.iou[kind]:.3f}" for row in means))
    console().print(listed)
