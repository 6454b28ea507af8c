"""How a command ends: one message and an exit code for what a user can cause, a traceback else."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from edgekit.errors import BadInput, EdgekitError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_DISK_TROUBLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
    }
)
"""What a wrong path or a full disk causes; any other OSError is our defect and keeps its trace."""


class ExitingGroup(TyperGroup):
    """The command group that turns what commands raise into a message on stderr and a code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named on the command line."""
        try:
            return super().invoke(ctx)
        except EdgekitError as error:
            fail(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("\nInterrupted: nothing half-written was left behind.", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt
        except OSError as error:
            if error.errno not in _DISK_TROUBLE:
                raise
            fail(BadInput(f"{error.strerror}: {error.filename or 'while writing'}"))
            raise typer.Exit(BadInput.exit_code) from error


def fail(error: EdgekitError) -> None:
    """Print one error (what, Expected, Next) on stderr."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    typer.echo(str(error), err=True)
