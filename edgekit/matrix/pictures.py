"""Pictures in a results folder, which may come from anyone: only sound and small ones are shown."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from PIL import Image

MOST_BYTES = 100_000
MOST_PIXELS = 2_000_000
_DAMAGED = (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)
"""What Pillow raises on damaged files and on those of too many pixels."""


def is_picture(content: bytes) -> bool:
    """Whether this is a JPEG of at most `MOST_BYTES` and `MOST_PIXELS` that decodes."""
    if not 0 < len(content) <= MOST_BYTES:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=("JPEG",))
            if image.width * image.height > MOST_PIXELS:
                return False
            image.load()
    except _DAMAGED:
        return False
    return True


def read_picture(path: Path) -> bytes | None:
    """The content of a picture's file; None if it is not there or `is_picture` refuses it."""
    try:
        if not path.is_file():  # a pipe, for one, would never end
            return None
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return None
    return content if is_picture(content) else None
