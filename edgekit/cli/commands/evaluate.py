"""`edgekit evaluate`: score a bundle's masks against annotations."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.all_masks import Detector, Proposals, StrategyOfMasks
from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.pipeline import (
        DetectionEvaluation,
        EvaluateDetectionsRequest,
        EvaluateEverythingRequest,
        EvaluateRequest,
    )
    from edgekit.verification.evaluation import Means

_PRECISION_TITLES = {
    "every": "all, IoU 0.5 to 0.95",
    "at_50": "all, IoU 0.5",
    "at_75": "all, IoU 0.75",
    "small": "small",
    "medium": "medium",
    "large": "large",
}


def evaluate(  # noqa: PLR0913 - one parameter per option, as Typer reads them
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
    survey: Annotated[
        bool,
        typer.Option(
            "--survey",
            help="Also score 1, 2 and 3 random points and the tight box, as arXiv 2410.04960 does.",
        ),
    ] = False,
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            metavar="RESULTS.json",
            help="Prompt with a detector's boxes (COCO results), and measure average precision.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="Find all masks without prompts, and measure their recall."
        ),
    ] = False,
    strategy: StrategyOfMasks = None,
    grid: Annotated[
        int | None,
        typer.Option(
            "--grid",
            metavar="N",
            help="With --everything: N x N points. Default: the family's, which is 32 for SAM.",
        ),
    ] = None,
    detector: Detector = None,
    proposals: Proposals = None,
    json_file: Annotated[str | None, json_option("all figures")] = None,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="MD", help="Write the figures into this model card."),
    ] = None,
) -> None:
    """Score BUNDLE's masks against annotated photos: mean IoU by kind of prompt and object size.

    With --detections: COCO's average precision of the masks for a detector's boxes.
    With --everything: the average recall of the annotated objects by 10, 100 and 1000 masks.
    """
    from edgekit.cli.everything_options import EverythingOptions, check_options
    from edgekit.pipeline import (
        EvaluateDetectionsRequest,
        EvaluateEverythingRequest,
        EvaluateRequest,
    )

    about_prompts = {"--card": card, "--survey": survey, "--detections": detections}
    check_options(
        EverythingOptions(strategy=strategy, grid=grid, detector=detector, proposals=proposals),
        everything=everything,
        prompt_options=[name for name, value in about_prompts.items() if value],
    )
    if everything:
        request = EvaluateEverythingRequest(
            bundle=bundle,
            annotations=annotations,
            photos=photos,
            strategy=strategy,
            grid=grid,
            detector=detector,
            proposals=proposals,
        )
        _evaluate_everything(request, json_file)
        return
    if detections:
        _refuse_beside_detections(card=card, survey=survey)
        boxes = EvaluateDetectionsRequest(
            bundle=bundle, annotations=annotations, photos=photos, detections=detections
        )
        _evaluate_detections(boxes, json_file)
        return
    _evaluate_prompts(
        EvaluateRequest(bundle=bundle, annotations=annotations, photos=photos, survey=survey),
        json_file,
        card,
    )


def _evaluate_prompts(request: EvaluateRequest, json_file: str | None, card: Path | None) -> None:
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import evaluate as run
    from edgekit.store import write_atomic
    from edgekit.train.result.model_card import read_card, with_figures
    from edgekit.verification.evaluation import to_json

    old_card = read_card(card) if card else ""
    with reporting() as report:
        evaluation = run(request, report=report)
    if card:
        measured_on = f"{evaluation.photos} photos of {request.annotations.name}"
        write_atomic(card, with_figures(old_card, evaluation.means, measured_on=measured_on))
    if json_file:
        write_json(to_json(evaluation.means, ran=evaluation.ran), json_file)
    if json_file != STDOUT:
        _print(evaluation.means, ran=evaluation.ran)


def _refuse_beside_detections(*, card: Path | None, survey: bool) -> None:
    from edgekit.errors import BadInput

    beside = "--card" if card else "--survey" if survey else None
    if beside:
        raise BadInput(
            f"{beside} is about prompts made from the annotations, and --detections has boxes.",
            expected=f"either {beside} or --detections",
        )


def _evaluate_detections(request: EvaluateDetectionsRequest, json_file: str | None) -> None:
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import evaluate_detections as run

    with reporting() as report:
        evaluation = run(request, report=report)
    if json_file:
        write_json(asdict(evaluation), json_file)
    if json_file != STDOUT:
        _print_precision(evaluation)


def _print_precision(evaluation: DetectionEvaluation) -> None:
    from edgekit.cli.console import console, table

    title = f"average precision of the masks for detected boxes, {evaluation.ran}"
    listed = table("objects and IoU", "AP", title=title, right=("AP",))
    for name, value in asdict(evaluation.precision).items():
        figure = "none annotated" if value is None else f"{value:.3f}"
        listed.add_row(_PRECISION_TITLES[name], figure)
    console().print(listed)
    say(f"{evaluation.detections} boxes on {evaluation.photos} photos.")


def _evaluate_everything(request: EvaluateEverythingRequest, json_file: str | None) -> None:
    from edgekit.cli.all_masks import print_recall
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import evaluate_everything as run

    with reporting() as report:
        evaluation = run(request, report=report)
    if json_file:
        write_json(asdict(evaluation), json_file)
    if json_file != STDOUT:
        print_recall(evaluation)


def _print(means: tuple[Means, ...], *, ran: str) -> None:
    from edgekit.cli.console import console, table
    from edgekit.verification.evaluation import TITLES

    sizes = [f"{row.size} ({row.instances})" for row in means]
    listed = table(f"mean IoU with the annotations, {ran}", *sizes, right=tuple(sizes))
    for kind in means[0].iou:
        listed.add_row(TITLES[kind], *(f"{row.iou[kind]:.3f}" for row in means))
    console().print(listed)
