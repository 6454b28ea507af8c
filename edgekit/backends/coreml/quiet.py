"""coremltools, imported and called without what it prints.

On import it warns of a torch newer than those it was tested with and lists libraries that exist on
macOS only; while converting it shows progress bars. None of it is news to who uses edgekit, whose
own tests stand for the pair of versions.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType

_LOGGERS = ("coremltools", "torchao", "torch.utils._pytree")


@contextlib.contextmanager
def quiet_coremltools() -> Iterator[ModuleType]:
    """coremltools; its warnings and log lines are kept back inside the `with` block."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            import coremltools

            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                yield coremltools
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
