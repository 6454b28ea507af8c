"""The formats of photos. Pillow knows 40 more, and reads some of them with other programs: an EPS
with Ghostscript, which runs the file."""

from __future__ import annotations

from PIL import Image

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""MPO is a JPEG of several pictures; HEIF needs a plugin."""


def photo_formats() -> tuple[str, ...]:
    """The formats that this Pillow can read and edgekit opens, for `Image.open`."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)
