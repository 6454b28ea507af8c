"""Paths as users type them."""

from __future__ import annotations

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
