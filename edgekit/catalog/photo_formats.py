"""The picture formats that photos are opened in."""

from __future__ import annotations

PHOTO_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Pillow's names. MPO is a JPEG of several pictures; HEIF needs the package pillow-heif.

Pillow knows 40 more formats. It would read some of them with another program: EPS with Ghostscript,
which runs what the file says."""


def installed_formats() -> tuple[str, ...]:
    """Those of `PHOTO_FORMATS` that this Pillow can read now; HEIF counts once it is registered."""
    from PIL import Image

    Image.init()
    return tuple(name for name in PHOTO_FORMATS if name in Image.OPEN)
