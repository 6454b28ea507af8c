"""`edgekit matrix`: models by targets, as evidence that people read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.matrix import Difference, Overview
    from edgekit.matrix.config import Config

_HERE = "local"
"""This machine's name, unless --host says otherwise."""
_MODELS = (
    "Models: names or globs, separated by commas. 'all'; 'canary', a small one of each kind; "
    "'ready', those whose weights edgekit downloads or ships; 'changed', all models, but only the "
    "cells without a result that still holds."
)
_TARGETS = (
    "Targets: names or globs such as 'x86-*'. 'all'; 'canary', the widest precision of each "
    "runtime; 'ready', those whose files this machine can make; 'changed' as for models. "
    "A target of your own: its file (.toml)."
)


def matrix(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONFIG.toml]",
            help="The options below, as TOML; the command line overrides it.",
        ),
    ] = None,
    *,
    models: Annotated[list[str] | None, typer.Option("--models", help=_MODELS)] = None,
    targets: Annotated[list[str] | None, typer.Option("--targets", help=_TARGETS)] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="VALUE|MODEL=VALUE",
            help="official, bundled or seeded for all models; MODEL=FILE for one; repeatable.",
        ),
    ] = None,
    photos: Annotated[
        str | None, typer.Option("--photos", help="Photos to verify on, as for `edgekit verify`.")
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            "--measure",
            help="verify; with ,bench to take times too, with ,evaluate to score masks against the "
            "annotations of --photos COCO.json. [verify]",
        ),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(
            "--results",
            metavar="DIR",
            help="One JSON per cell; delete one to run its cell again. [matrix-results]",
        ),
    ] = None,
    known_failures: Annotated[
        str | None,
        typer.Option(
            "--known-failures",
            metavar="TOML",
            help="Failures that are expected, with link and expiry. "
            "[known-failures.toml in the results folder]",
        ),
    ] = None,
    fleet: Annotated[
        str | None,
        typer.Option(
            "--fleet",
            metavar="WORKERS.toml",
            help="The machines that run the cells, over ssh or Dask. [this machine]",
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Run part I of N of the cells.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Do not try cells again that could not run or that timed out."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=1, max=1e7, help="Seconds that a cell may take. [1800]"),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory",
            min=0.1,
            max=1e6,
            help="GB that a cell may hold. [nine tenths of this machine's]",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="NAME", help="This machine's name in results that several share."
        ),
    ] = _HERE,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="DIR", help="Show what changed since these results."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="DIR", help="Write report.html, summary.md, junit.xml, cells.csv."
        ),
    ] = None,
    json_file: Annotated[str | None, json_option("the outcome")] = None,
    init_ci: Annotated[
        Literal["github"] | None,
        typer.Option(
            "--init-ci",
            help="Run nothing; write a workflow that runs --models by --targets. [canary]",
        ),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "--action",
            metavar="OWNER/REPO@REF",
            help="For --init-ci: edgekit's repository on GitHub and a tag, branch or commit.",
        ),
    ] = None,
) -> None:
    """Export and verify MODELS for TARGETS, each pair once, and show all outcomes together.

    Without --models and --targets, nothing runs and the results folder is shown as it is.
    """
    from edgekit.cli.matrix import PrintedWatch
    from edgekit.matrix.config import Config, overridden, read_config, request_from
    from edgekit.matrix.differences import differences
    from edgekit.matrix.fleets.routes import fleet_of
    from edgekit.matrix.report import require_report, write_report
    from edgekit.matrix.results import read_results
    from edgekit.matrix.running import run_matrix
    from edgekit.matrix.selection import measures_from, weights_by_model

    options = Config(
        models=tuple(models or ()),
        targets=tuple(targets or ()),
        weights=weights_by_model(weights or ()),
        photos=photos,
        measure=measures_from(measure) if measure else (),
        results=results,
        known_failures=known_failures,
        fleet=fleet,
        timeout=timeout,
        memory=memory,
    )
    asked = overridden(read_config(config) if config else Config(), options)
    if init_ci or action:
        shown = {"against": against, "report": report, "json": json_file}
        running = {"shard": shard, "resume": resume, "host": host != _HERE, **shown}
        _require_for_workflow(options, {"init_ci": init_ci, "action": action}, running)
        _write_workflow(asked, config, str(action))
        return
    if not (asked.models or asked.targets):
        _require_nothing_to_run(options, {"shard": shard, "resume": resume})
    earlier = read_results(against) if against else None
    for notice in earlier.notices if earlier else ():
        say(f"Notice: {notice}", err=True)
    if report:
        require_report(report)
    request = request_from(asked, shard=shard, resume=resume)
    overview = run_matrix(request, fleet_of(asked, label=host), watch=PrintedWatch())
    changes = None if earlier is None else differences(earlier, overview.results)
    if report:
        write_report(report, overview, changes, results=request.results)
    _show(overview, changes, json_file)
    raise typer.Exit(overview.exit_code)


_NOT_IN_WORKFLOWS = ("weights", "photos", "known_failures", "fleet", "timeout", "memory")
_OF_A_RUN = ("weights", "photos", "measure", "timeout", "memory")


def _require_for_workflow(
    options: Config, both: Mapping[str, str | None], running: Mapping[str, object]
) -> None:
    """Refuse a workflow without an action, and options that it would not take."""
    from edgekit.errors import BadInput

    if None in both.values():
        raise BadInput(
            "A workflow needs both --init-ci and --action.",
            expected="edgekit's repository on GitHub, whose action the workflow runs",
            next_step="--init-ci github --action OWNER/edgekit@REF",
        )
    if unused := _given(options, _NOT_IN_WORKFLOWS, running):
        raise BadInput(
            f"--init-ci does not go with {', '.join(unused)}.",
            expected="CONFIG.toml, --models, --targets, --measure, --results and --action",
            next_step="write weights, photos and limits into a CONFIG.toml of the repository",
        )


def _require_nothing_to_run(options: Config, running: Mapping[str, object]) -> None:
    """Refuse options that change how cells run, where the results folder is shown as it is."""
    from edgekit.errors import BadInput

    if unused := _given(options, _OF_A_RUN, running):
        raise BadInput(
            f"Nothing runs without --models and --targets, and {', '.join(unused)} is for a run.",
            expected="names, globs or words for both models and targets",
            next_step="add --models canary --targets canary, or leave the other options out",
        )


def _given(options: Config, names: tuple[str, ...], others: Mapping[str, object]) -> list[str]:
    """The options on the command line among `names` and `others`, as they are typed."""
    values = {name: getattr(options, name) for name in names} | dict(others)
    return [f"--{name.replace('_', '-')}" for name, value in values.items() if value]


def _write_workflow(asked: Config, file: Path | None, action: str) -> None:
    from edgekit.matrix.workflow import write_workflow

    path = write_workflow(asked, action=action, config_file=file)
    say(f"Wrote {path}. Set up the runners that it names, then commit it.")


def _show(
    overview: Overview, changes: tuple[Difference, ...] | None, json_file: str | None
) -> None:
    from edgekit.cli.matrix import overview_json, print_overview

    if json_file:
        write_json(overview_json(overview, changes), json_file)
    if json_file != STDOUT:
        print_overview(overview, changes)
