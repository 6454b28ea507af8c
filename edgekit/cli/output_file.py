"""Where results are written, checked before the work that leads to them."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import BadInput

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def check_picture(path: Path) -> None:
    """Refuse a name that no picture can be written to.

    Raises:
        BadInput: its suffix names no picture format, or see `check_writable`.
    """
    if path.suffix.lower() not in PICTURES:
        raise BadInput(
            f"'{path}' does not say which picture format to write.",
            expected=f"a file name that ends in {', '.join(PICTURES)}",
            next_step=f"use {path.with_suffix('.png')}",
        )
    check_writable(path)


def check_writable(path: Path) -> None:
    """Refuse a name that no file can be written to.

    Raises:
        BadInput: it is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise BadInput(f"'{path}' is a folder.", expected="the name of a file to write")
    if not path.parent.is_dir():
        raise BadInput(
            f"There is no folder '{path.parent}' to write {path.name} in.",
            expected="an existing folder",
            next_step=f"mkdir -p {path.parent}",
        )
