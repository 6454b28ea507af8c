"""Keep runtimes and converters from writing to the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

_COREMLTOOLS_LOGGERS = ("coremltools", "torchao", "torch.utils._pytree")


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to the null device. Errors still reach the caller as exceptions.

    LiteRT 2.1 and its converter log from C++ ("INFO: Created TensorFlow Lite XNNPACK delegate"),
    and neither has a switch for it.
    """
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
def quiet_coremltools() -> Iterator[ModuleType]:
    """coremltools, without its warnings and log lines inside the `with` block.

    On import, coremltools 9.0 warns of a torch newer than it was tested with and of libraries that
    exist on macOS only. While converting, it shows progress bars. edgekit's own tests cover the
    versions it installs together.
    """
    levels = {name: logging.getLogger(name).level for name in _COREMLTOOLS_LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _COREMLTOOLS_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            import coremltools

            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                yield coremltools
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
