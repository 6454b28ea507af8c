"""How a command ends. An error that a user can cause gives one message and an exit code.

Any other exception is a defect of edgekit and keeps its traceback.
"""

from __future__ import annotations

import errno
import signal
from typing import Any

import typer
from typer.core import TyperGroup

from edgekit.errors import BadInput, EdgekitError, RuntimeMissing

INTERRUPTED = 128 + signal.SIGINT
"""The exit code that shells give a process that a signal ended."""

_PATH_ERRORS = frozenset(
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
"""A wrong path, missing rights or a full disk; any other OSError is a defect of edgekit."""

_EXPORT_EXTRA = frozenset(
    {"torch", "onnx", "onnxscript", "onnxsim", "torchao", "safetensors", "pycocotools"}
)
"""Packages of `edgekit[export]`, which a device only needs to export."""


class Stopped(KeyboardInterrupt):
    """SIGTERM was received."""

    code = 128 + signal.SIGTERM


class ExitingGroup(TyperGroup):
    """The command group that turns exceptions of commands into a message on stderr and a code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the command line names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo("\nInterrupted. No incomplete files were left behind.", err=True)
            raise typer.Exit(getattr(interrupt, "code", INTERRUPTED)) from interrupt
        except (EdgekitError, OSError, ModuleNotFoundError) as error:
            user_error = _user_error(error)
            if user_error is None:
                raise
            print_error(user_error)
            raise typer.Exit(user_error.exit_code) from error


def stop_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C, so that a cancelled CI job leaves no incomplete files."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def print_error(error: EdgekitError) -> None:
    """Print one error on stderr: what happened, what was expected, what to type next."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    typer.echo(str(error), err=True)


def _user_error(error: Exception) -> EdgekitError | None:
    """The error to print; None for a defect of edgekit."""
    match error:
        case EdgekitError():
            return error
        case OSError() if error.errno in _PATH_ERRORS:
            return BadInput(
                f"{error.strerror}: {error.filename or 'while writing'}",
                expected="a path that can be read or written, on a disk with free space",
                next_step="check the path, its permissions and the disk (edgekit doctor)",
            )
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] in _EXPORT_EXTRA:
            return RuntimeMissing(
                f"This step needs the package {error.name}, which is not installed.",
                next_step="pip install 'edgekit[export]'",
            )
        case _:
            return None
