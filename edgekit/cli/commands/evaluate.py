"""`edgekit evaluate`: how good are a bundle's masks, measured against annotations?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.catalog import PhotoSet
    from edgekit.pipeline import Report
    from edgekit.runtime import Predictor
    from edgekit.verification.evaluation import InstanceFigures, Means

_TITLES = {
    "box": "box",
    "filled_box": "  (the box filled in)",
    "point": "one point",
    "best_of_three": "one point, best of 3",
    "chosen": "one point, chosen of 3",
    "box_point": "box and point",
}


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A folder written by `edgekit export`.")],
    annotations: Annotated[
        Path, typer.Argument(metavar="COCO.json", help="Instances; photos beside it or in images/.")
    ],
    *,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the means; '-' is stdout.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", metavar="MD", help="Fill them into this model card.")
    ] = None,
) -> None:
    """Score BUNDLE's masks against annotated photos: mean IoU per prompt and object size."""
    from edgekit.catalog import photos_from
    from edgekit.cli.console import json_text, print_json
    from edgekit.cli.progress import reporting
    from edgekit.errors import BadInput
    from edgekit.runtime import Predictor
    from edgekit.store import write_atomic
    from edgekit.train.result.model_card import read_card, with_figures
    from edgekit.verification.evaluation import means, to_json

    photos = photos_from(annotations)
    old_card = read_card(card) if card else ""
    with reporting() as report, report.stage("evaluate"):
        table = means(_figures(Predictor(bundle), photos, report))
    if not table:
        raise BadInput(
            f"No instance in {annotations} is large enough to be scored.",
            expected="COCO instances of at least 32 x 32 pixels",
        )
    if card:
        measured_on = f"{len(photos.photos)} photos of {annotations.name}"
        write_atomic(card, with_figures(old_card, table, measured_on=measured_on))
    if json_file == "-":
        print_json(to_json(table))
        return
    if json_file:
        write_atomic(Path(json_file), json_text(to_json(table)) + "\n")
    _print(table)


def _figures(predictor: Predictor, photos: PhotoSet, report: Report) -> Iterator[InstanceFigures]:
    from edgekit.verification.evaluation import evaluate as run

    for done, photo in enumerate(photos.photos):
        report.progress(done, len(photos.photos))
        yield from run(predictor, [photo])


def _print(means: tuple[Means, ...]) -> None:
    from edgekit.cli.console import console, table

    sizes = [f"{row.size} ({row.instances})" for row in means]
    listed = table("mean IoU with the annotations", *sizes, right=tuple(sizes))
    for kind, title in _TITLES.items():
        listed.add_row(title, *(f"{row.iou[kind]:.3f}" for row in means))
    console().print(listed)
