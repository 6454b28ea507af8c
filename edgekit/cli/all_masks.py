"""`--everything` of `edgekit verify` and `edgekit evaluate`: its options and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgekit.cli.console import console, say, table
from edgekit.cli.verdict import print_outcome, what_ran

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from edgekit.pipeline import EverythingEvaluation, EverythingVerdict

StrategyOfMasks = Annotated[
    Literal["grid", "hierarchical", "boxes", "proposed"] | None,
    typer.Option(
        "--strategy",
        help="With --everything: where the prompts come from. Default: grid; boxes with "
        "--detector, proposed with --proposals.",
    ),
]

Detector = Annotated[
    Path | None,
    typer.Option(
        "--detector",
        metavar="BUNDLE",
        help="With --everything: a bundle, such as FastSAM's, whose boxes are the prompts.",
    ),
]

Proposals = Annotated[
    Path | None,
    typer.Option(
        "--proposals",
        metavar="FILE",
        help="With --everything: the network that `edgekit train --proposals` made, whose points "
        "are the prompts.",
    ),
]


def print_everything(verdict: EverythingVerdict, *, stream: str = "stdout") -> None:
    """Print the figures for each IoU, the numbers of masks, and the outcome."""
    printer = console(stream)
    if verdict.agreement:
        _print_agreement(verdict, printer)
    print_outcome(verdict, _outcome(verdict), printer)


def _print_agreement(verdict: EverythingVerdict, printer: Console) -> None:
    columns = ("pairs", "matched share", "recall", "mean IoU of pairs")
    title = f"All masks against the PyTorch reference's, {_photos(len(verdict.photos))}"
    asked = _asked(verdict.strategy, verdict.grid)
    title = f"{title}, {asked}, {what_ran(verdict)}"
    listed = table("IoU from", *columns, title=title, right=columns)
    for row in verdict.agreement:
        mean_iou = "-" if row.mean_iou is None else f"{row.mean_iou:.4f}"
        shares = f"{row.share:.4f}", f"{row.recall:.4f}"
        listed.add_row(f"{row.threshold:g}", str(row.matched), *shares, mean_iou)
    printer.print(listed)
    ours, theirs = verdict.candidate_masks, verdict.reference_masks
    printer.print(f"Masks: {theirs} of the reference, {ours} of the bundle ({ours - theirs:+d}).")


def _outcome(verdict: EverythingVerdict) -> Text:
    from rich.text import Text

    if verdict.how == "not run":
        return Text("NOT RUN", "bold red")
    if verdict.passed and verdict.min_matched is None:
        figures_only = "no gate: figures only; --min-matched makes one"
        return Text.assemble(("NOT JUDGED", "bold"), f" ({what_ran(verdict)}; {figures_only})")
    outcome = ("PASSED", "bold green") if verdict.passed else ("FAILED", "bold red")
    return Text.assemble(outcome, f" ({what_ran(verdict)}; {_gate(verdict)})")


def _gate(verdict: EverythingVerdict) -> str:
    if verdict.min_matched is None:
        return "no gate"
    return f"gate: matched share >= {verdict.min_matched:g} at IoU 0.9"


def print_recall(evaluation: EverythingEvaluation) -> None:
    """Print the average recall by object size and number of masks."""
    limits = [f"{limit} masks" for limit in evaluation.recall[0].recall]
    asked = _asked(evaluation.strategy, evaluation.grid)
    title = f"average recall of the annotated objects, {asked}, {evaluation.ran}"
    listed = table("size (objects)", *limits, title=title, right=tuple(limits))
    for row in evaluation.recall:
        figures = (f"{recall:.3f}" for recall in row.recall.values())
        listed.add_row(f"{row.size} ({row.instances})", *figures)
    console().print(listed)
    per_photo = evaluation.masks / evaluation.photos
    say(f"{_photos(evaluation.photos)} with annotations, {per_photo:.1f} masks each.")


def _asked(strategy: str | None, grid: int | None) -> str:
    """Where the prompts came from, a few words."""
    if strategy is None:
        return "without prompts"
    return strategy if grid is None else f"{strategy} of {grid} x {grid} points"


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
