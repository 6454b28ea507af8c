"""`edgekit train`: train a model from annotated photos, a teacher, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say

if TYPE_CHECKING:
    from edgekit.train.run import TrainResult


def train(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    student: Annotated[str, typer.Argument(help="The model to train; see `edgekit models`.")],
    *,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="COCO.json", help="Instances with masks: polygons or RLE."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="The photos' folder; a --teacher also uses those without annotations."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model to learn from, or 'mobilenetv2' (features)."),
    ] = None,
    teacher_weights: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH|official|bundled|seeded", help="The teacher's weights."),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|official|bundled", help="Weights to start from. Default: random numbers."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The result's folder; a stopped run resumes there. Default: train/STUDENT."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the stage with masks.")] = 2400,
    teacher_steps: Annotated[int, typer.Option(min=1, help="Steps of the teacher's stage.")] = 505,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train STUDENT: first with a teacher, if one is named, then with annotated masks.

    Writes STUDENT.safetensors for --weights, MODEL_CARD.md and curve.png. Stop it at any time: the
    same command resumes from the last checkpoint.
    """
    from edgekit.cli.training import observing
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
    with observing() as observer:
        result = run(request, observer=observer)
    _print(result, as_json=as_json)


def _print(result: TrainResult, *, as_json: bool) -> None:
    from edgekit.cli.console import print_json

    if as_json:
        print_json(
            {
                "weights": str(result.weights),
                "card": str(result.card),
                "curve": str(result.curve) if result.curve else None,
                "held_out": result.held_out,
            }
        )
        return
    figures = ", ".join(f"{n.replace('_', ' ')} {v:.3f}" for n, v in result.held_out.items())
    say(f"Held-out photos: {figures or 'none'}")
    for path in filter(None, (result.weights, result.card, result.curve)):
        say(str(path))
    student = result.weights.stem
    say(f"Next: edgekit export {student} -t x86-fp32 --weights {result.weights}")
