"""One process with all that it starts, within limits of time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

_POLL_S = 0.5
"""Rarely, because looking costs milliseconds of the time that is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most seconds that a process may take, and bytes that it and its children may hold."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: see `Step`."""

    exit_code: int | None
    seconds: float
    peak_bytes: int
    stopped: Literal["time", "memory"] | None = None


def run_limited(
    command: Sequence[str], *, stdout: Path, stderr: Path, limits: Limits, stop: Event
) -> Ended:
    """Run a command in a session of its own. Whatever is left of it afterwards is killed.

    Its stdin is a pipe that closes when this process ends, for `leash`. When `stop` is set, the
    process is killed and counts as ended by a signal.
    """
    start = time.monotonic()
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True
        )
    try:
        stopped, peak = _watch(process, limits, stop)
    finally:
        _kill_group(process)
    return Ended(
        exit_code=None if stopped else process.returncode,
        seconds=time.monotonic() - start,
        peak_bytes=peak,
        stopped=stopped,
    )


def _watch(
    process: subprocess.Popen[bytes], limits: Limits, stop: Event
) -> tuple[Literal["time", "memory"] | None, int]:
    """Wait for the end, a limit or `stop`; returns the limit, and the most bytes that were held."""
    deadline, peak = time.monotonic() + limits.seconds, 0
    while not stop.is_set():
        left = deadline - time.monotonic()
        if left <= 0:
            return "time", peak
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(_POLL_S, left))
            break
        peak = max(peak, _bytes_held(process.pid))
        if peak > limits.bytes:
            return "memory", peak
    return None, peak


def _bytes_held(pid: int) -> int:
    """By a process and its children, now; 0 once it is gone."""
    import psutil

    try:
        parent = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True)))
    except psutil.Error:
        return 0


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for a zombie
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
