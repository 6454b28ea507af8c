"""`edgekit export`: from a checkpoint to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from edgekit.cli.weights_option import Weights
from edgekit.records.enums import StrEnum

if TYPE_CHECKING:
    from edgekit.errors import EdgekitError
    from edgekit.pipeline import Exported, ExportRequest

    Outcome: TypeAlias = Exported | EdgekitError


class Precisions(StrEnum):
    """How an INT8 plan is made."""

    RECIPE = "recipe"
    AUTO = "auto"


def export(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    model: Annotated[str, typer.Argument(help="A model of `edgekit models`.")],
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="A target of `edgekit targets`; repeatable.")
    ],
    *,
    weights: Weights = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="NAME|DIR",
            help="Photos to measure ranges on: an image set, a folder or a COCO JSON.",
        ),
    ] = None,
    precision: Annotated[
        Precisions,
        typer.Option(
            "--precision",
            help="INT8 by the target's recipe, or with blocks back in float until the gate holds.",
        ),
    ] = Precisions.RECIPE,
    out: Annotated[
        Path, typer.Option("--out", help="The folder in which <model>-<target> is made.")
    ] = Path("dist"),
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an existing bundle; ship INT8 slower than float."),
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Leave out the comparison with PyTorch.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Export MODEL for one or more targets, and verify each bundle."""
    from edgekit.catalog import target as profile
    from edgekit.models.registry import model as row
    from edgekit.pipeline import ExportRequest

    # Every name is settled before the work for the first target starts.
    row(model)
    requests = [
        ExportRequest(
            model=model,
            target=profile(name).name,
            weights=tuple(weights or ()),
            calibration=calibration,
            precision=precision.value,
            out=out,
            force=force,
            verify=not no_verify,
        )
        for name in dict.fromkeys(target)
    ]
    outcomes = {request.target: _run(request) for request in requests}
    _show(outcomes, as_json=as_json)
    raise typer.Exit(max(_exit_code(outcome) for outcome in outcomes.values()))


def _run(request: ExportRequest) -> Outcome:
    """Export for one target; an error is told and must not cost the other targets their bundle."""
    from edgekit.cli.exits import fail
    from edgekit.cli.progress import reporting
    from edgekit.errors import EdgekitError
    from edgekit.pipeline import export as run

    try:
        with reporting() as report:
            return run(request, report=report)
    except EdgekitError as error:
        fail(error)
        return error


def _exit_code(outcome: Outcome) -> int:
    from edgekit.cli.verdict import exit_code
    from edgekit.errors import EdgekitError

    if isinstance(outcome, EdgekitError):
        return outcome.exit_code
    return exit_code(outcome.verdict) if outcome.verdict else 0


def _show(outcomes: dict[str, Outcome], *, as_json: bool) -> None:
    from edgekit.cli.console import print_json
    from edgekit.errors import EdgekitError

    if as_json:
        print_json([{"target": name, **_described(outcome)} for name, outcome in outcomes.items()])
        return
    for outcome in outcomes.values():
        if not isinstance(outcome, EdgekitError):
            _print_exported(outcome)


def _described(outcome: Outcome) -> dict[str, object]:
    from edgekit.errors import EdgekitError
    from edgekit.verify.verdict import to_json

    if isinstance(outcome, EdgekitError):
        return {"bundle": None, "verdict": None, "error": str(outcome)}
    verdict = to_json(outcome.verdict) if outcome.verdict else None
    return {"bundle": str(outcome.bundle.path), "verdict": verdict}


def _print_exported(exported: Exported) -> None:
    from edgekit.cli.console import megabytes
    from edgekit.cli.verdict import print_verdict

    if exported.verdict:
        print_verdict(exported.verdict)
    files = [file for part in exported.bundle.manifest.artifacts for file in part.files]
    size = megabytes(sum(file.bytes for file in files))
    typer.echo(f"{exported.bundle.path}: {len(files)} files to run, {size}")
    if not exported.verdict:
        typer.echo(f"Not verified. Next: edgekit verify {exported.bundle.path}")
