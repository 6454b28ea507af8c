"""`edgekit train`: train a model from annotated photos, a teacher, or both; or its proposals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.train.proposals.run import ProposalRequest
    from edgekit.train.run import TrainResult


def train(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    student: Annotated[str, typer.Argument(help="The model to train; see `edgekit models`.")],
    *,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="COCO.json",
            help="Instances with masks: polygons or RLE. Repeat it for several data sets.",
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="The photos' folder; a --teacher also uses those without annotations."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A model to learn from, or 'efficientnet-lite2' (features)."
        ),
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
    proposals: Annotated[
        bool,
        typer.Option(
            "--proposals",
            help="Train a proposal network for everything mode instead, on the frozen encoder of "
            "--init.",
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of the stage with masks, or of --proposals. Default: 2400, or 600.",
            show_default=False,
        ),
    ] = None,
    teacher_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of the teacher's stage. Default: 505.", show_default=False),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Frames at full resolution per step with masks; at half resolution a step takes "
            "three times as many. Default: 1 on a CPU, 16 on a GPU.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    json_file: Annotated[str | None, json_option("the outcome")] = None,
) -> None:
    """Train STUDENT: first with a teacher, if one is named, then with annotated masks.

    Writes STUDENT.safetensors for --weights, MODEL_CARD.md and curve.png. Stop it at any time: the
    same command resumes from the last checkpoint.
    With --proposals: writes STUDENT-proposals.json for `edgekit predict --everything --proposals`.
    """
    from edgekit.cli.training import observing
    from edgekit.train.proposals.run import STEPS, ProposalRequest
    from edgekit.train.request import MASK_STEPS, TEACHER_STEPS, TrainRequest
    from edgekit.train.run import train as run

    if proposals:
        _refuse_unused(teacher, teacher_weights, teacher_steps, batch)
        _train_proposals(
            ProposalRequest(
                model=student,
                out=out or Path("train") / student,
                annotations=tuple(annotations or ()),
                photos=photos,
                weights=tuple(init or ()),
                steps=steps or STEPS,
                seed=seed,
            ),
            json_file,
        )
        return
    _require_other(
        {"--teacher-weights": teacher_weights, "--teacher-steps": teacher_steps},
        "--teacher",
        teacher,
    )
    _require_other({"--steps": steps, "--batch": batch}, "--annotations", annotations)
    request = TrainRequest(
        student=student,
        out=out or Path("train") / student,
        annotations=tuple(annotations or ()),
        photos=photos,
        teacher=teacher,
        teacher_weights=tuple(teacher_weights or ()),
        init=tuple(init or ()),
        steps=steps or MASK_STEPS,
        teacher_steps=teacher_steps or TEACHER_STEPS,
        batch=batch,
        seed=seed,
    )
    with observing() as observer:
        result = run(request, observer=observer)
    _print(result, json_file)


def _refuse_unused(
    teacher: str | None,
    teacher_weights: list[str] | None,
    teacher_steps: int | None,
    batch: int | None,
) -> None:
    """Refuse options that a proposal network does not take."""
    from edgekit.errors import BadInput

    unused = {
        "--teacher": teacher,
        "--teacher-weights": teacher_weights,
        "--teacher-steps": teacher_steps,
        "--batch": batch,
    }
    for name in (name for name, value in unused.items() if value):
        raise BadInput(
            f"A proposal network learns from annotations, and {name} is given.",
            expected=f"--proposals without {name}",
        )


def _require_other(options: Mapping[str, object], other: str, value: object) -> None:
    """Refuse options of a stage that does not run because the option `other` has no value."""
    from edgekit.errors import BadInput

    for name in (name for name, given in options.items() if given and not value):
        raise BadInput(f"{name} is given without {other}.", expected=f"{name} with {other}")


def _train_proposals(request: ProposalRequest, json_file: str | None) -> None:
    from edgekit.cli.training import observing
    from edgekit.train.proposals.run import train_proposals

    with observing() as observer:
        result = train_proposals(request, observer=observer)
    if json_file:
        write_json({"proposals": str(result.proposals), "held_out": result.held_out}, json_file)
    if json_file == STDOUT:
        return
    figures = ", ".join(f"{name} {value:.3f}" for name, value in result.held_out.items())
    say(f"Held-out photos: {figures or 'none'}")
    say(str(result.proposals))
    say(f"Next: edgekit predict BUNDLE PHOTO --everything --proposals {result.proposals}")


def _print(result: TrainResult, json_file: str | None) -> None:
    if json_file:
        written = {
            "weights": str(result.weights),
            "card": str(result.card),
            "curve": str(result.curve) if result.curve else None,
            "held_out": result.held_out,
        }
        write_json(written, json_file)
    if json_file == STDOUT:
        return
    figures = ", ".join(f"{n.replace('_', ' ')} {v:.3f}" for n, v in result.held_out.items())
    say(f"Held-out photos: {figures or 'none'}")
    for path in filter(None, (result.weights, result.card, result.curve)):
        say(str(path))
    student = result.weights.stem
    say(f"Next: edgekit export {student} -t x86-fp32 --weights {result.weights}")
