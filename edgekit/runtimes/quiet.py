"""Keep runtimes, exporters and converters from writing to the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def quiet(*loggers: str, message: str = "") -> Iterator[None]:
    """Ignore warnings, and log records of these loggers below ERROR, inside the `with` block.

    Args:
        loggers: names of loggers, whose children follow them.
        message: a regular expression for the start of the warnings to ignore; "" ignores all.
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to the null device. Errors still reach the caller as exceptions."""
    # LiteRT 2.1 and litert-torch 0.10 log from C++ ("INFO: Created TensorFlow Lite XNNPACK
    # delegate"), and neither has a switch for it.
    sys.stderr.flush()
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(null)
        os.close(stderr)


@contextlib.contextmanager
def deep_recursion() -> Iterator[None]:
    """Let Python recurse as deep as litert-torch asks for, inside the `with` block only."""
    # litert-converter 0.5 raises the limit for the whole process on import. A nested JSON file
    # would then overflow the C stack, and kill the process, instead of raising RecursionError.
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextlib.contextmanager
def quiet_coremltools() -> Iterator[ModuleType]:
    """coremltools, without its warnings, log lines and progress bars inside the `with` block."""
    # On import, coremltools 9.0 warns of a torch newer than 2.7 and of libraries that exist on
    # macOS only. edgekit's tests cover the versions that it installs together.
    with quiet("coremltools", "torchao", "torch.utils._pytree"):
        import coremltools

        with contextlib.redirect_stderr(io.StringIO()):  # progress bars of tqdm
            yield coremltools
