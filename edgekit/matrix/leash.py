"""A process on a leash: it ends with the process that started it, even if that one was killed.

The parent holds the writing end of a pipe that is the child's stdin. Whatever ends the parent
closes it; the child then kills its process group, the processes that it started included.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

from edgekit.interpreter import python_command

_START = "from edgekit.matrix.leash import follow; follow(sys.argv[1:])"


def leashed(command: tuple[str, ...]) -> list[str]:
    """The command that runs `edgekit COMMAND` on a leash. It needs a session of its own."""
    return python_command(_START, *command)


def follow(command: list[str]) -> None:
    """Run `edgekit COMMAND` in this process until it ends, or until stdin is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["edgekit", *command]
    runpy.run_module("edgekit", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    # os.read rather than sys.stdin, whose lock a thread must not hold when Python ends.
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
