"""Where a picture is written, checked before the work that leads to it."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def checked(path: Path) -> Path:
    """The path itself.

    Raises:
        BadInput: its suffix names no picture format, or its folder does not exist.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(
            f"'{path}' does not say which picture format to write.",
            expected=f"a file name that ends in {', '.join(SUFFIXES)}",
            next_step=f"use {path.with_suffix('.png')}",
        )
    if not path.parent.is_dir():
        raise BadInput(
            f"There is no folder '{path.parent}' to write {path.name} in.",
            expected="an existing folder",
            next_step=f"mkdir -p {path.parent}",
        )
    return path
