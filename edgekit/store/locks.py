"""Locks on folders, which the system releases when their process ends, however it ends.

They tell a folder that is being filled from one that a killed process left behind. Where the system
or the file system has no such locks (Windows, NFS), nothing is known.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UNKNOWN = -1
"""In place of a lock: this file system has none."""


def lock(folder: Path, *, shared: bool = False) -> int | None:
    """A lock on a folder, for `unlock`; None if a living process has it; or `UNKNOWN`.

    Any number of processes may have a `shared` lock, while none has another.

    Raises:
        OSError: there is no such folder.
    """
    if sys.platform == "win32":
        return UNKNOWN
    import fcntl

    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        return None if isinstance(error, BlockingIOError) else UNKNOWN
    return held


def unlock(held: int | None) -> None:
    """Release a lock."""
    if held is not None and held != UNKNOWN:
        os.close(held)
