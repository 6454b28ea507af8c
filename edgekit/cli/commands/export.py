"""`edgekit export`: from a checkpoint to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import Weights, json_option

if TYPE_CHECKING:
    from edgekit.errors import EdgekitError
    from edgekit.pipeline import Exported, ExportRequest
    from edgekit.records import FileDigest

    Outcome: TypeAlias = Exported | EdgekitError


def export(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    model: Annotated[str, typer.Argument(help="A model of `edgekit models`.")],
    target: Annotated[
        list[str],
        typer.Option(
            "--target",
            "-t",
            help="A target of `edgekit targets`, or NAME.toml, a profile of yours; repeatable.",
        ),
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
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos", metavar="DIR", help="Where the photos of a COCO JSON are, if elsewhere."
        ),
    ] = None,
    float_fallback: Annotated[
        bool,
        typer.Option(
            "--float-fallback",
            help="If INT8 fails the gate on calibration photos, move blocks back to float until "
            "it passes.",
        ),
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", help="The folder in which MODEL-TARGET is written.")
    ] = Path("dist"),
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace an existing bundle; accept INT8 that is slower than float."
        ),
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not compare the masks with PyTorch.")
    ] = False,
    json_file: Annotated[str | None, json_option("the outcome")] = None,
) -> None:
    """Export MODEL for one or more targets, and verify each bundle."""
    from edgekit.catalog import target_or_file
    from edgekit.models.registry import model as row
    from edgekit.pipeline import ExportRequest

    # Check every name before the work for the first target starts.
    row(model)
    for name in target:
        target_or_file(name)
    requests = [
        ExportRequest(
            model=model,
            target=name,
            weights=tuple(weights or ()),
            calibration=calibration,
            photos=photos,
            float_fallback=float_fallback,
            out=out,
            force=force,
            verify=not no_verify,
        )
        for name in dict.fromkeys(target)
    ]
    outcomes = {request.target: _run(request) for request in requests}
    _show(outcomes, json_file)
    raise typer.Exit(max(_exit_code(outcome) for outcome in outcomes.values()))


def _run(request: ExportRequest) -> Outcome:
    """Export for one target. An error is printed and returned, so that the other targets go on."""
    from edgekit.cli.exits import print_error
    from edgekit.cli.progress import reporting
    from edgekit.errors import EdgekitError
    from edgekit.pipeline import export as run

    try:
        with reporting() as report:
            return run(request, report=report)
    except EdgekitError as error:
        print_error(error)
        return error


def _exit_code(outcome: Outcome) -> int:
    from edgekit.cli.verdict import exit_code
    from edgekit.errors import EdgekitError

    if isinstance(outcome, EdgekitError):
        return outcome.exit_code
    return exit_code(outcome.verdict) if outcome.verdict else 0


def _show(outcomes: dict[str, Outcome], json_file: str | None) -> None:
    from edgekit.errors import EdgekitError

    if json_file:
        write_json(
            [{"target": name, **_outcome_json(outcome)} for name, outcome in outcomes.items()],
            json_file,
        )
    if json_file == STDOUT:
        return
    for outcome in outcomes.values():
        if not isinstance(outcome, EdgekitError):
            _print_exported(outcome)


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    from edgekit.errors import EdgekitError
    from edgekit.verification.verdict import to_json

    if isinstance(outcome, EdgekitError):
        kind = type(outcome).__name__
        return {"bundle": None, "verdict": None, "error": str(outcome), "error_kind": kind}
    verdict = to_json(outcome.verdict) if outcome.verdict else None
    size = sum(file.bytes for file in _files(outcome))
    return {"bundle": str(outcome.bundle.path), "bytes": size, "verdict": verdict}


def _files(exported: Exported) -> list[FileDigest]:
    """The files that a runtime loads."""
    return [file for part in exported.bundle.manifest.artifacts for file in part.files]


def _print_exported(exported: Exported) -> None:
    from edgekit.cli.console import megabytes
    from edgekit.cli.verdict import print_verdict

    if exported.verdict:
        print_verdict(exported.verdict)
    files = _files(exported)
    size = megabytes(sum(file.bytes for file in files))
    say(f"{exported.bundle.path}: {len(files)} files to run, {size}")
    if not exported.verdict:
        say(f"Not verified. Next: edgekit verify {exported.bundle.path}")
