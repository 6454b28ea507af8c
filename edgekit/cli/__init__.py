"""The command line. No other code prints, exits or imports Typer.

`commands` has one file per command; each imports the pipeline inside its function, so that
`edgekit --help` takes less than 0.2 s. Rich's help alone would add 0.1 s, so help is plain text.
"""

from __future__ import annotations

from typing import Annotated

import typer

from edgekit.cli.arguments import Command
from edgekit.cli.commands.bench import bench
from edgekit.cli.commands.cache import cache
from edgekit.cli.commands.detect import detect
from edgekit.cli.commands.doctor import doctor
from edgekit.cli.commands.evaluate import evaluate
from edgekit.cli.commands.export import export
from edgekit.cli.commands.inspect import inspect
from edgekit.cli.commands.matrix import matrix
from edgekit.cli.commands.models import models
from edgekit.cli.commands.predict import predict
from edgekit.cli.commands.record import record
from edgekit.cli.commands.targets import targets
from edgekit.cli.commands.train import train
from edgekit.cli.commands.verify import verify
from edgekit.cli.exits import ExitingGroup, escape_unprintable, stop_on_sigterm

app = typer.Typer(
    name="edgekit",
    cls=ExitingGroup,
    help="Take a Segment-Anything model from its PyTorch checkpoint to a verified edge artifact.",
    epilog="Exit codes: 0 passed, 1 the gate failed, 2 wrong usage or bad input, 3 could not run, "
    "70 a bug of edgekit.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    models,
    detect,
    targets,
    export,
    verify,
    record,
    predict,
    inspect,
    bench,
    evaluate,
    matrix,
    train,
    doctor,
):
    app.command(cls=Command)(command)
app.add_typer(cache, name="cache")


def _print_version(asked: bool) -> None:
    if asked:
        from edgekit import __version__

        typer.echo(f"edgekit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="EDGEKIT_DEBUG", help="Show the traceback of every error."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the `edgekit` command."""
    stop_on_sigterm()
    escape_unprintable()
    app()
