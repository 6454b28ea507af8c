"""`edgekit train`: a student from annotated photos, a teacher, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.train.run import Trained


def train(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    student: Annotated[str, typer.Argument(help="A model of `edgekit models`.")],
    *,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="COCO.json", help="Instances with masks: polygons or RLE."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Where the photos lie; a --teacher also uses those without annotations."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model to learn from, or 'mobilenetv2' (features)."),
    ] = None,
    teacher_weights: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH|official|bundled|seeded", help="The teacher's; see --weights."),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|official|bundled", help="Weights to start from. Default: from nothing."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The result; a run that stopped there goes on. Default: train/STUDENT."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps with masks.")] = 2400,
    teacher_steps: Annotated[int, typer.Option(min=1, help="Steps with the teacher.")] = 505,
    seed: Annotated[int, typer.Option(min=0, help="Of all random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train STUDENT: first with a teacher, if one is named, then with annotated masks.

    Writes STUDENT.safetensors for --weights, MODEL_CARD.md and curve.png. Stop it at any time: the
    same command goes on from the last checkpoint.
    """
    from edgekit.cli.training import watching
    from edgekit.train.request import TrainRequest
    from edgekit.train.run import train as run

    request = TrainRequest(
        student=student,
        out=out or Path("train") / student,
        annotations=annotations,
        photos=photos,
        teacher=teacher,
        teacher_weights=tuple(teacher_weights or ()),
        init=tuple(init or ()),
        steps=steps,
        teacher_steps=teacher_steps,
        seed=seed,
    )
    with watching() as watch:
        trained = run(request, watch=watch)
    _show(trained, as_json=as_json)


def _show(trained: Trained, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json

    if as_json:
        print_json(
            {
                "weights": str(trained.weights),
                "card": str(trained.card),
                "curve": str(trained.curve),
                "held_out": trained.held_out,
            }
        )
        return
    figures = ", ".join(f"{n.replace('_', ' ')} {v:.3f}" for n, v in trained.held_out.items())
    typer.echo(f"Held-out photos: {figures or 'none'}")
    for path in (trained.weights, trained.card, trained.curve):
        typer.echo(str(path))
    student = trained.weights.stem
    typer.echo(f"Next: edgekit export {student} -t x86-fp32 --weights {trained.weights}")
