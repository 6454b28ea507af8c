"""A verdict as tables and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.cli.console import console, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from edgekit.records import Gate
    from edgekit.verification.everything import EverythingVerdict
    from edgekit.verification.verdict import PromptResult, Summary, Verdict

_FIGURES = ("prompts", "mean IoU", "5th pct.", "min IoU", "flips", "cosine", "max error")
_TRUTH = ("PyTorch vs. truth", "bundle vs. truth")


def exit_code(verdict: Verdict | EverythingVerdict) -> int:
    """0 if it passed, 1 if the gate failed, 3 if the bundle could not be run here."""
    if verdict.how == "not run":
        return 3
    return 0 if verdict.passed else 1


def print_verdict(verdict: Verdict, *, stream: str = "stdout") -> None:
    """Print the figures per prompt kind, the worst prompts if it failed, and the outcome."""
    printer = console(stream)
    if verdict.overall:
        _print_figures(verdict, verdict.overall, printer)
    if verdict.overall and not verdict.passed:
        _print_worst(verdict, printer)
    print_outcome(verdict, _outcome(verdict), printer)


def _outcome(verdict: Verdict) -> Text:
    """The outcome in colour, what ran, and the gate: one line."""
    from rich.text import Text

    gate = f"gate: {gate_text(verdict.gate)}"
    if verdict.how == "not run":
        return Text.assemble(("NOT RUN", "bold red"), f" ({gate})")
    outcome = ("PASSED", "bold green") if verdict.passed else ("FAILED", "bold red")
    return Text.assemble(outcome, f" ({what_ran(verdict)}; {gate})")


def print_outcome(verdict: Verdict | EverythingVerdict, outcome: Text, printer: Console) -> None:
    """Print why the files were emulated if they were, the outcome, and why it is no pass."""
    if verdict.reason and verdict.how == "emulated":
        printer.print(f"Emulated because {verdict.reason}.")
    printer.print(outcome)
    for failure in verdict.failures:
        printer.print(f"  - {failure}")


def what_ran(verdict: Verdict | EverythingVerdict) -> str:
    """ "native" or "emulated by" and the stand-in, as in the tables of other commands."""
    from edgekit.records import Execution

    return Execution(how=verdict.how, by=verdict.by).label


def gate_text(gate: Gate) -> str:
    """The limits of a gate, one line."""
    p5 = f", 5th percentile >= {gate.p5_iou:g}" if gate.p5_iou else ""
    return f"mean IoU >= {gate.mean_iou:g}{p5}, minimum >= {gate.min_iou:g}"


def _print_figures(verdict: Verdict, overall: Summary, printer: Console) -> None:
    truth = _TRUTH if overall.reference_truth is not None else ()
    plural = "" if verdict.photos == 1 else "s"
    samples = f"{verdict.photos} {verdict.sample}{plural}"
    title = f"Masks against the PyTorch reference, {samples}, {what_ran(verdict)}"
    figures = table("prompt", *_FIGURES, *truth, title=title, right=(*_FIGURES, *truth))
    for summary in verdict.kinds:
        figures.add_row(*_row(summary)[: len(figures.columns)])
    figures.add_section()
    figures.add_row(*_row(overall)[: len(figures.columns)])
    printer.print(figures)


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        str(summary.kind),
        str(summary.prompts),
        f"{summary.mean_iou:.5f}",
        f"{summary.p5_iou:.5f}",
        f"{summary.min_iou:.5f}",
        _figure(summary.flip_share, ".1%"),
        _figure(summary.min_logit_cosine, ".6f"),
        _figure(summary.max_logit_error, ".2g"),
        _figure(summary.reference_truth, ".3f"),
        _figure(summary.candidate_truth, ".3f"),
    )


def _print_worst(verdict: Verdict, printer: Console) -> None:
    listed = table(verdict.sample, "prompt", "where", "IoU", title="Worst prompts", right=("IoU",))
    for result in verdict.worst():
        iou = f"{result.iou:.5f}" if result.finite else "NaN or infinite"
        listed.add_row(result.photo, result.trial.kind, _prompt_options(result), iou)
    printer.print(listed)


def _prompt_options(result: PromptResult) -> str:
    points = [
        ",".join([*(f"{along:.0f}" for along in point), str(label)])
        for point, label in zip(result.trial.points, result.trial.labels, strict=True)
    ]
    box = [",".join(f"{side:.0f}" for side in result.trial.box)] if result.trial.box else []
    return " ".join([*(f"--point {text}" for text in points), *(f"--box {text}" for text in box)])


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
