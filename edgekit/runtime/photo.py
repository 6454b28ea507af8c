"""Load any photo as upright uint8 RGB.

This corrects what `Image.convert("RGB")` gets wrong: the camera's orientation is applied, and
16-bit grey is scaled to 8 bits, which Pillow would clip to white. Alpha is dropped, as upstream's
readers do (`cv2.imread`, `convert("RGB")`).
"""

from __future__ import annotations

import warnings
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from edgekit.errors import BadInput
from edgekit.records import Rgb

PhotoLike = str | PathLike[str] | npt.NDArray[np.generic] | Image.Image

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Formats of photos; MPO is a JPEG of several pictures, HEIF needs a plugin. Pillow knows 40 more.
It would read some of them with another program: EPS with Ghostscript, which runs the file."""

_READABLE = "a photo in JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF"

# What Pillow's plugins raise on damaged files; found by damaging files of 16 formats at random.
_DAMAGED = (OSError, SyntaxError, ValueError, RuntimeError)


def load_photo(source: PhotoLike) -> Rgb:
    """A photo as uint8 RGB [H, W, 3], C-contiguous, upright.

    Args:
        source: a path, a Pillow image, or an array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4]
            of uint8, or uint16 over its full range.

    Raises:
        BadInput: the file is missing, damaged, not an image or above Pillow's pixel limit, or the
            array has another shape or dtype.
    """
    if isinstance(source, np.ndarray):
        return _rgb_from_array(source)
    if isinstance(source, Image.Image):
        return _rgb_from_image(source, name="the image")
    if isinstance(source, str | PathLike):
        return _rgb_from_file(Path(source))
    raise BadInput(
        f"Cannot load a photo from a {type(source).__name__}.",
        expected="a path, a NumPy array or a Pillow image",
    )


def _rgb_from_file(path: Path) -> Rgb:
    if not path.is_file():
        reason = "it is a folder" if path.is_dir() else "there is no such file"
        raise BadInput(f"Cannot read the photo {path}: {reason}.", expected=_READABLE)
    try:
        with _open(path) as image:
            return _rgb_from_image(image, name=str(path))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(
            f"The photo {path} has too many pixels to open safely.",
            expected=f"at most {Image.MAX_IMAGE_PIXELS or 0:,} pixels",
            next_step="scale it down first: the encoder sees it at 1024 pixels anyway",
        ) from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not an image that edgekit opens.", expected=_READABLE) from error
    except _DAMAGED as error:
        raise BadInput(f"Cannot read the photo {path}: {error}.", expected=_READABLE) from error


def _open(path: Path) -> Image.Image:
    """Open a file; exceeding Pillow's pixel limit is an error (up to twice, Pillow only warns)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path, formats=_installed_formats())


@cache
def _installed_formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that this Pillow can read."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _rgb_from_image(image: Image.Image, *, name: str) -> Rgb:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _rgb_from_array(_sixteen_bits(np.asarray(upright), name=name))
    if upright.mode == "F":
        raise BadInput(
            f"The pixels of {name} are floating-point numbers of unknown range.",
            expected="8 or 16 bits per channel",
            next_step="scale them to 0-255 and save the photo with 8 bits",
        )
    # Pillow warns when it converts a palette with transparency to RGB directly, hence RGBA first.
    opaque = upright.convert("RGBA") if upright.mode in {"P", "PA"} else upright
    return np.ascontiguousarray(opaque.convert("RGB"))


def _sixteen_bits(grey: npt.NDArray[np.generic], *, name: str) -> npt.NDArray[np.uint16]:
    """Pixels of the modes I;16 and I. Pillow opens some 16-bit files in the 32-bit mode I."""
    values = grey.astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
        raise BadInput(
            f"The grey values of {name} exceed 16 bits.", expected="8 or 16 bits per channel"
        )
    return values.astype(np.uint16)


def _rgb_from_array(pixels: npt.NDArray[np.generic]) -> Rgb:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise BadInput(
            f"The photo's pixels are {pixels.dtype}.",
            expected="uint8 with values from 0 to 255, or uint16",
            next_step="convert it; for values in 0-1: (255 * photo).astype(np.uint8)",
        )
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in {1, 3, 4} or 0 in pixels.shape:
        raise BadInput(
            f"A photo cannot have the shape {list(pixels.shape)}.",
            expected="[height, width, 3] in RGB order, [height, width] for grey",
        )
    channels = 3 if pixels.shape[2] >= 3 else 1
    rgb = np.broadcast_to(pixels[..., :channels], (*pixels.shape[:2], 3))
    return np.ascontiguousarray(rgb, dtype=np.uint8)
