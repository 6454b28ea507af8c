"""Load any photo as upright uint8 RGB.

This corrects what `Image.convert("RGB")` gets wrong: the camera's orientation is applied, and more
than 8 bits of grey are scaled to 8 bits, which Pillow would clip to white. Alpha is dropped, as
upstream's readers do (`cv2.imread`, `convert("RGB")`).

How deep grey is scaled: whole numbers from 0 to 65535 have the smallest of 8, 10, 12, 14 and 16
bits that holds the largest of them, since sensors of 12 bits write files of 16. Floating-point
numbers from 0 to 1 become 0 to 255. All others (32 bits, negative numbers) are spread over 0 to 255
from the smallest to the largest. Pillow itself drops the lower eight of 16 bits in colour; files
that this leaves nearly black are refused.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from edgekit.catalog.photo_formats import photo_formats
from edgekit.errors import BadInput
from edgekit.records import Rgb

PhotoLike = str | PathLike[str] | bytes | BinaryIO | npt.NDArray[np.generic] | Image.Image

_READABLE = "a photo in JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF"

# What Pillow's plugins raise on damaged files; found by damaging files of 16 formats at random.
_DAMAGED = (OSError, SyntaxError, ValueError, RuntimeError)

_BIT_DEPTHS = (8, 10, 12, 14, 16)
_BAND = 2**20  # pixels scaled at a time: each takes up to 30 bytes on the way
_NEARLY_BLACK = 16  # of 256: what is left of 12 bits if the upper eight of 16 are kept

# Brands of ISO 23008-12 at offset 8 of the file. AVIF has the same container and brands of its own.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def load_photo(source: PhotoLike) -> Rgb:
    """A photo as uint8 RGB [H, W, 3], C-contiguous, upright.

    Args:
        source: a path, the bytes of a file, a binary stream such as BytesIO (read from its start),
            a Pillow image, or an array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] of uint8 or
            uint16.

    Raises:
        BadInput: the file is missing, damaged, not an image or above Pillow's pixel limit, or the
            array has another shape or dtype.
    """
    if isinstance(source, np.ndarray):
        return _rgb_from_array(source)
    if isinstance(source, Image.Image):
        return _rgb_from_image(source, name="the image")
    if isinstance(source, str | PathLike):
        return _rgb_from_path(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _rgb_from_file(io.BytesIO(source), name="in memory")
    if hasattr(source, "read"):
        return _rgb_from_file(_from_start(source), name="in memory")
    raise _unknown_type(source)


def check_photo(path: Path) -> None:
    """Check that `load_photo` can read a file, in a fraction of its time where it is a JPEG.

    Raises:
        BadInput: it cannot.
    """
    _rgb_from_path(path, reduced=True)


def _from_start(stream: BinaryIO) -> io.BytesIO:
    """The bytes of a stream, from its start where it can go back."""
    try:
        if stream.seekable():
            stream.seek(0)
        return io.BytesIO(stream.read())
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise BadInput(
            f"The photo cannot be read from the {type(stream).__name__}: {error}.",
            expected="an open binary stream, such as io.BytesIO or open(path, 'rb')",
        ) from error


def _unknown_type(source: object) -> BadInput:
    kind = type(source).__name__
    tensor = hasattr(source, "detach") and hasattr(source, "numpy")
    return BadInput(
        f"Cannot load a photo from a {kind}.",
        expected="a path, bytes, a binary stream, a NumPy array or a Pillow image",
        next_step="for a uint8 tensor [3, H, W]: tensor.permute(1, 2, 0).cpu().numpy()"
        if tensor
        else None,
    )


def _rgb_from_path(path: Path, *, reduced: bool = False) -> Rgb:
    if not path.is_file():
        reason = "it is a folder" if path.is_dir() else "there is no such file"
        raise BadInput(f"Cannot read the photo {path}: {reason}.", expected=_READABLE)
    return _rgb_from_file(path, name=str(path), reduced=reduced)


def _rgb_from_file(file: Path | BinaryIO, *, name: str, reduced: bool = False) -> Rgb:
    """`reduced` lets JPEG decode at a lower size."""
    try:
        _prepare_heic(file, name=name)
        with _without_warnings(), _open(file) as image:
            if reduced:
                image.draft("RGB", (1, 1))
            return _rgb_from_image(image, name=name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(
            f"The photo {name} has too many pixels to open safely.",
            expected=f"at most {Image.MAX_IMAGE_PIXELS or 0:,} pixels",
            next_step="scale it down first: the encoder sees it at 1024 pixels anyway",
        ) from error
    except UnidentifiedImageError as error:
        what = "The bytes are" if name == "in memory" else f"{name} is"
        raise BadInput(f"{what} not an image that edgekit opens.", expected=_READABLE) from error
    except _DAMAGED as error:
        raise BadInput(f"Cannot read the photo {name}: {error}.", expected=_READABLE) from error


def _prepare_heic(file: Path | BinaryIO, *, name: str) -> None:
    """Let Pillow read an iPhone's HEIC if the package for it is installed."""
    if not _is_heic(_first_bytes(file)):
        return
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise BadInput(
            f"{name} is an iPhone HEIC photo, which Pillow cannot read by itself.",
            expected=_READABLE,
            next_step="convert it to JPEG, or pip install pillow-heif",
        ) from error
    register_heif_opener()


def _first_bytes(file: Path | BinaryIO) -> bytes:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(64)
    start = file.read(64)
    file.seek(0)
    return start


def _is_heic(start: bytes) -> bool:
    """`mif1` is also the brand of some AVIF files, which then name `avif` among the others."""
    return start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS and b"avif" not in start


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide what Pillow says of damaged EXIF data, which loses no pixel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(file: Path | BinaryIO) -> Image.Image:
    """Open a file; exceeding Pillow's pixel limit is an error (up to twice, Pillow only warns)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=photo_formats())


def _rgb_from_image(image: Image.Image, *, name: str) -> Rgb:
    sixteen_bits = ";16" in str(getattr(image, "tile", ""))
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _rgb_from_array(_eight_bits(np.asarray(upright), name=name))
    # Pillow warns when it converts a palette with transparency to RGB directly, hence RGBA first.
    opaque = upright.convert("RGBA") if upright.mode in {"P", "PA"} else upright
    rgb = np.ascontiguousarray(opaque.convert("RGB"))
    if sixteen_bits and 0 < rgb.max() < _NEARLY_BLACK:
        raise BadInput(
            f"The photo {name} is nearly black: it uses few of its 16 bits per colour.",
            expected="colours of 8 bits, or of 16 bits over their full range",
            next_step="scale its values up, and save it with 8 bits per colour",
        )
    return rgb


def _eight_bits(values: npt.NDArray[np.generic], *, name: str) -> npt.NDArray[np.uint8]:
    """Deep grey or colour scaled to 8 bits by the rule in this module's docstring."""
    if not values.size:
        return values.astype(np.uint8)
    if not np.isfinite(values).all():
        raise BadInput(f"The pixels of {name} are not all finite.", expected="no NaN or infinity")
    scale = _scale_of(values)
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), rows := max(_BAND // (values.size // len(values)), 1)):
        scaled[start : start + rows] = scale(values[start : start + rows])
    return scaled


def _scale_of(values: npt.NDArray[np.generic]) -> Callable[[npt.NDArray[np.generic]], Rgb]:
    """The function that scales parts of these values to 8 bits."""
    low, high = values.min(), values.max()
    if np.issubdtype(values.dtype, np.floating):
        black, white = (0.0, 1.0) if low >= 0 and high <= 1 else (float(low), float(high))
        factor = 255 / max(white - black, 1e-30)
        return lambda part: np.rint((part.astype(np.float64) - black) * factor).astype(np.uint8)
    depth = next((bits for bits in _BIT_DEPTHS if low >= 0 and int(high) < 2**bits), None)
    zero, most = (0, 2**depth - 1) if depth else (int(low), int(high))
    span = max(most - zero, 1)
    half = span // 2
    return lambda part: (((part.astype(np.int64) - zero) * 255 + half) // span).astype(np.uint8)


def _rgb_from_array(pixels: npt.NDArray[np.generic]) -> Rgb:
    if pixels.dtype == np.uint16:
        pixels = _eight_bits(pixels, name="the array")
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
