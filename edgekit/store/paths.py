"""Paths as users type them."""

from __future__ import annotations

import stat
from pathlib import Path

from edgekit.errors import BadInput


def user_path(text: str | Path) -> Path:
    """A path with `~` and `~name` replaced by home folders.

    Raises:
        BadInput: there is no such user, or no home folder is known.
    """
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise BadInput(
            f"There is no home folder for '{path.parts[0]}' of the path {path}.",
            expected="~ or ~USER at the start, with a user of this machine",
            next_step=f"for a name that starts with ~, type ./{path}",
        ) from error


def is_special(path: Path) -> bool:
    """Whether a pipe, a device or a socket is there: neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever opens it tells why
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
