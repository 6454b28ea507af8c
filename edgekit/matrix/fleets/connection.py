"""One device over OpenSSH's `ssh`, which knows the user's keys, hosts and jumps.

What is sent goes through stdin. The remote shell gets one line of words, each quoted.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import IO

from edgekit.errors import EdgekitError, RuntimeMissing

_POLL_S = 0.2
_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),  # never asks for a password
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15"),  # a device that is switched off is noticed in a minute
    *("-o", "ServerAliveCountMax=4"),
)
_SSH_FAILED = 255
_MOST_BYTES = 2**26
"""Of what a device prints, its end: answers have a hundredth of it."""


class Unreachable(EdgekitError):
    """A machine of a fleet does not answer, or was lost."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How a remote command ended, and what it printed. `exit_code` None: it took too long."""

    exit_code: int | None
    stdout: bytes
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a remote command reads from stdin. With `held`, stdin then stays open until the
    command ends, so that it notices when this side does."""

    chunks: Iterable[bytes]
    held: bool = False


def ask_over_ssh(
    host: str, words: Sequence[str], message: Message, *, seconds: float, stop: Event
) -> Reply:
    """Run a command on a host.

    Args:
        host: as on ssh's command line.
        words: the command.
        message: what it reads.
        seconds: the connection is closed after them.
        stop: closes the connection.

    Raises:
        RuntimeMissing: there is no `ssh` here.
        Unreachable: the host does not answer, refuses, or was lost.
    """
    command = ("ssh", *_OPTIONS, "--", host, shlex.join(words))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
        except OSError as error:
            raise RuntimeMissing(
                f"ssh cannot be started: {error.strerror}", next_step="install OpenSSH's client"
            ) from error
        assert process.stdin is not None
        Thread(target=_send, args=(process.stdin, message), daemon=True).start()
        ended = _wait(process, seconds, stop)
        told = _content(err).decode(errors="backslashreplace")
        if ended == _SSH_FAILED:
            raise Unreachable(
                f"{host} cannot be reached: {(told.strip().splitlines() or ['ssh failed'])[-1]}",
                next_step=f"ssh -o BatchMode=yes {shlex.quote(host)} true",
            )
        return Reply(exit_code=ended, stdout=_content(out), stderr=told)


def _send(stdin: IO[bytes], message: Message) -> None:
    with suppress(OSError, ValueError):  # the other side has ended; its exit code tells why
        for chunk in message.chunks:
            stdin.write(chunk)
        stdin.flush() if message.held else stdin.close()


def _wait(process: subprocess.Popen[bytes], seconds: float, stop: Event) -> int | None:
    deadline = time.monotonic() + seconds
    try:
        while not stop.is_set() and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_S)
        return None
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()


def _content(file: IO[bytes]) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_BYTES))
    return file.read()
