"""How a command ends: one message and an exit code for what a user can cause, a traceback else."""

from __future__ import annotations

import errno
import signal
from typing import Any

import typer
from typer.core import TyperGroup

from edgekit.errors import BadInput, EdgekitError, RuntimeMissing

INTERRUPTED = 128 + signal.SIGINT
"""As shells have it."""

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


_EXPORT_EXTRA = frozenset(
    {"torch", "onnx", "onnxscript", "onnxsim", "torchao", "safetensors", "pycocotools"}
)
"""Packages of `edgekit[export]`: a device does well without them until it is asked to export."""


class Stopped(KeyboardInterrupt):
    """Asked to end by another program than the keyboard's."""

    code = 128 + signal.SIGTERM


class ExitingGroup(TyperGroup):
    """The command group that turns what commands raise into a message on stderr and a code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named on the command line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo("\nInterrupted: nothing half-written was left behind.", err=True)
            raise typer.Exit(getattr(interrupt, "code", INTERRUPTED)) from interrupt
        except (EdgekitError, OSError, ModuleNotFoundError) as error:
            told = _told(error)
            if told is None:
                raise
            fail(told)
            raise typer.Exit(told.exit_code) from error


def stop_on_sigterm() -> None:
    """A CI job that is cancelled ends as by Ctrl-C: nothing half-written stays."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def fail(error: EdgekitError) -> None:
    """Print one error (what, Expected, Next) on stderr."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    typer.echo(str(error), err=True)


def _told(error: Exception) -> EdgekitError | None:
    """What the user is told; None for a defect of ours, which keeps its traceback."""
    match error:
        case EdgekitError():
            return error
        case OSError() if error.errno in _DISK_TROUBLE:
            return BadInput(f"{error.strerror}: {error.filename or 'while writing'}")
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] in _EXPORT_EXTRA:
            return RuntimeMissing(
                f"This step needs the package {error.name}, which is not installed.",
                next_step="pip install 'edgekit[export]'",
            )
        case _:
            return None
