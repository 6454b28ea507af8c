"""How a command ends: an error that a user can cause gives one message and an exit code.

Any other exception is a bug of edgekit. It ends with one line that says where to report it and exit
code 70 (EX_SOFTWARE of sysexits.h), so that a script never takes a bug for a failed gate, which is
1. `--debug` shows the traceback.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from edgekit.cli.arguments import check_arguments, with_json_files
from edgekit.cli.console import say
from edgekit.errors import BadInput, EdgekitError, RuntimeMissing

INTERRUPTED = 128 + signal.SIGINT
"""The exit code that shells give a process that a signal ended."""

BUG = 70

_PATH_ERRORS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
    }
)
"""A wrong path, missing rights or a full disk; any other OSError is a bug of edgekit."""

_TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed", "unexpected pos")
"""What torch says, as a RuntimeError, when the disk is full."""

_EXPORT_EXTRA = frozenset(
    {"torch", "onnx", "onnxscript", "onnxsim", "torchao", "safetensors", "pycocotools"}
)
"""Packages of `edgekit[export]`, which a device only needs to export."""


class Stopped(KeyboardInterrupt):
    """SIGTERM was received."""

    code = 128 + signal.SIGTERM


class ExitingGroup(TyperGroup):
    """The command group that turns exceptions of commands into a message on stderr and a code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; `--debug` may stand anywhere before `--`."""
        end = args.index("--") if "--" in args else len(args)
        rest = [arg for arg in args[:end] if arg != "--debug"]
        debug = ["--debug"] if len(rest) < end else []
        return super().parse_args(ctx, [*debug, *with_json_files(rest), *args[end:]])

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the command line names."""
        try:
            check_arguments(ctx.args)
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo("\nInterrupted. No incomplete files were left behind.", err=True)
            raise typer.Exit(getattr(interrupt, "code", INTERRUPTED)) from interrupt
        except Exception as error:
            if _is_of_typer(error):
                raise
            raise typer.Exit(_end_with(error, debug=bool(ctx.params.get("debug")))) from error


def stop_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C, so that a cancelled CI job leaves no incomplete files."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def escape_unprintable() -> None:
    """Print file names that are not UTF-8 with escapes; a strict stream would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def print_error(error: EdgekitError) -> None:
    """Print one error on stderr: what happened, what was expected, what to type next."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    say(str(error), err=True)


def _is_of_typer(error: Exception) -> bool:
    """Whether Typer itself ends the command so: an exit, a usage error, or a closed pipe."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return True
    # Typer carries its own Click and exports only some of its exceptions.
    return type(error).__module__.startswith("typer.")


def _end_with(error: Exception, *, debug: bool) -> int:
    """Print an exception as a message; returns the exit code."""
    if debug:
        traceback.print_exception(error)
    user_error = _user_error(error)
    if user_error is None:
        say(_bug_line(error), err=True)
        return BUG
    print_error(user_error)
    return user_error.exit_code


def _bug_line(error: Exception) -> str:
    from edgekit.store import printable

    first = printable((str(error).splitlines() or ["no message"])[0])
    return (
        f"edgekit has a bug: {type(error).__name__}: {first}. Please report it: {_issues_url()}; "
        "run again with --debug for the traceback"
    )


def _issues_url() -> str:
    """The address under `Issues` in `[project.urls]`; words if the package names none."""
    from importlib import metadata

    try:
        named = metadata.metadata("edgekit").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        named = []
    pairs = (text.partition(",") for text in named)
    urls = [url.strip() for label, _, url in pairs if label.strip().lower() == "issues"]
    return urls[0] if urls else "a bug in the issues of edgekit's repository"


def _user_error(error: Exception) -> EdgekitError | None:
    """The error to print; None for a bug of edgekit."""
    match error:
        case EdgekitError():
            return error
        case OSError() if error.errno in _PATH_ERRORS:
            return _cannot_use(f"{error.strerror}: {error.filename or 'while writing'}")
        case RuntimeError() if any(words in str(error) for words in _TORCH_CANNOT_WRITE):
            return _cannot_use("A file could not be written")
        case FileNotFoundError() if not _working_folder_exists():
            return BadInput(
                "The working directory does not exist any more.", next_step="cd to another folder"
            )
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] in _EXPORT_EXTRA:
            return RuntimeMissing(
                f"This step needs the package {error.name}, which is not installed.",
                next_step="pip install 'edgekit[export]'",
            )
        case _:
            return _of_values(error)


def _of_values(error: Exception) -> EdgekitError | None:
    """The error of names that are no text, and of work that is too large; None for others."""
    match error:
        case UnicodeEncodeError(reason="surrogates not allowed"):
            return BadInput(
                "The name of a file or folder is not valid UTF-8.",
                expected="names in UTF-8",
                next_step="rename it",
            )
        case ValueError() if "embedded null" in str(error):
            return BadInput("The name of a file has a NUL character.", expected="a file's name")
        case MemoryError():
            return EdgekitError(
                "There is not enough memory for this.", next_step="edgekit doctor shows the memory"
            )
        case _:
            return None


def _cannot_use(what: str) -> BadInput:
    return BadInput(
        what,
        expected="a path that can be read or written, on a disk with free space",
        next_step="check the path, its permissions and the disk (edgekit doctor)",
    )


def _working_folder_exists() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
