"""From a photo to the encoder's input, pixel for pixel as the upstream predictor does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgekit.errors import BadInput
from edgekit.records import FloatArray, Preprocessing, Resampling, Rgb
from edgekit.runtime import fixed_point
from edgekit.runtime.resampling import Band, banded, bilinear, enlarged, resampled, two_taps

MAX_ASPECT = 256
"""Beyond it a photo's short side is less than one pixel of the 256-pixel mask."""

Size = tuple[int, int]


def resized_size(height: int, width: int, rule: Preprocessing, *, frame: int | None = None) -> Size:
    """Height and width of the photo in a frame, in pixels.

    The order of the floating-point operations is upstream's (segment_anything/utils/transforms.py;
    nanosam/utils/predictor.py), since it decides the last pixel.

    Args:
        height: of the photo.
        width: of the photo.
        rule: how the photo is fitted.
        frame: another frame than the encoder's.

    Raises:
        BadInput: the photo is narrower than 1 : `MAX_ASPECT`.
    """
    side = frame or rule.frame
    short, longest = sorted((height, width))
    if longest > MAX_ASPECT * short:
        raise BadInput(
            f"A photo of {width} x {height} pixels is too narrow to segment.",
            expected=f"sides that differ by at most a factor of {MAX_ASPECT}",
        )
    if rule.fit == "squash":
        return side, side
    scale = side * 1.0 / longest
    if rule.rounding == "half_up":
        return int(height * scale + 0.5), int(width * scale + 0.5)
    if rule.rounding == "half_even":
        return round(height * scale), round(width * scale)
    aspect = width / height
    return (int(side / aspect), side) if aspect >= 1 else (side, int(side * aspect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a photo lies in the input; all are (height, width) or (top, left) in pixels."""

    photo: Size
    resized: Size
    corner: Size
    canvas: Size

    @property
    def gain(self) -> float:
        """Input pixels per photo pixel before rounding."""
        return min(c / p for c, p in zip(self.canvas, self.photo, strict=True))


def placed(photo_size: Size, rule: Preprocessing) -> Placement:
    """Where a photo of (height, width) lies in the frame.

    Raises:
        BadInput: the photo is too narrow (see `resized_size`).
    """
    height, width = resized_size(*photo_size, rule)
    centred = rule.fit == "centred"
    return Placement(
        photo=photo_size,
        resized=(height, width),
        corner=((rule.frame - height) // 2, (rule.frame - width) // 2) if centred else (0, 0),
        canvas=(rule.frame, rule.frame),
    )


def encoder_input(photo: Rgb, rule: Preprocessing, *, place: Placement | None = None) -> FloatArray:
    """The tensor `image` [1, 3, frame, frame], float32, for a uint8 RGB photo [H, W, 3].

    `place` puts the photo elsewhere than the rule, on a canvas of any size.

    Raises:
        BadInput: the photo is too narrow (see `resized_size`).
    """
    place = place or placed((photo.shape[0], photo.shape[1]), rule)
    (top, left), (height, width) = place.corner, place.resized
    bands = _RESAMPLERS[rule.resample](photo, place.resized)
    levels = 255 if rule.resample in _ON_UNIT_SCALE else 1
    image = _background(place.canvas, rule)
    # Float32 arithmetic into the padded buffer beats a lookup table (1.2 against 2.3 ms at
    # 1024 x 768).
    for channel, band in enumerate(bands):
        plane = image[0, channel, top : top + height, left : left + width]
        np.subtract(np.asarray(band), np.float32(rule.mean[channel] / levels), out=plane)
        np.divide(plane, np.float32(rule.std[channel] / levels), out=plane)
    return image


def _background(canvas: Size, rule: Preprocessing) -> FloatArray:
    """[1, 3, *canvas]: zeros, or the normalised `fill` around a centred photo."""
    image = np.zeros((1, 3, *canvas), dtype=np.float32)
    if rule.fit == "centred":
        mean, std = (np.array(each, dtype=np.float32) for each in (rule.mean, rule.std))
        image += ((np.float32(rule.fill) - mean) / std)[:, None, None]
    return image


Bands = Sequence[Image.Image] | Sequence[FloatArray] | npt.NDArray[np.uint8]


def _pillow(photo: Rgb, size: Size, *, filter_: Image.Resampling) -> Bands:
    """The whole photo at once; Pillow splits bands faster than NumPy reads every third byte."""
    return Image.fromarray(photo).resize(size[::-1], filter_).split()


def _float_antialiased(photo: Rgb, size: Size) -> Bands:
    """Enlarged to the bit as torch does it; else by Pillow's mode F, whose filter torch follows.

    The last bit matters to no trained model. It does to one with random weights, and those are what
    a port is tested with: EdgeTAM's masks then move by 1000 times the relative change of the photo.
    """
    planes = _on_unit_scale(photo)
    if photo.shape[0] <= size[0] and photo.shape[1] <= size[1]:
        rows, columns = (two_taps(*axis) for axis in zip(photo.shape[:2], size, strict=True))
        return [enlarged(plane, rows, columns) for plane in planes]
    return [
        Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR) for plane in planes
    ]


def _on_unit_scale(photo: Rgb) -> FloatArray:
    """[3, H, W] in 0-1."""
    planes = np.ascontiguousarray(photo.transpose(2, 0, 1), dtype=np.float32)
    planes /= np.float32(255)
    return planes


def _float_bilinear(photo: Rgb, size: Size) -> Bands:
    rows, columns = (_bands(*axis) for axis in zip(photo.shape[:2], size, strict=True))
    return [resampled(plane, rows, columns) for plane in _on_unit_scale(photo)]


def _fixed_point_bilinear(photo: Rgb, size: Size) -> Bands:
    planes: npt.NDArray[np.uint8] = fixed_point.resized(photo, size).transpose(2, 0, 1)
    return planes


@lru_cache(maxsize=8)
def _bands(source: int, size: int) -> tuple[Band, ...]:
    return banded(bilinear(source, size))


# Upstreams that resize floats have divided by 255 before; mean and std are divided likewise.
_ON_UNIT_SCALE: frozenset[Resampling] = frozenset({"float_antialiased", "float_bilinear"})

_RESAMPLERS: dict[Resampling, Callable[[Rgb, Size], Bands]] = {
    "bilinear": partial(_pillow, filter_=Image.Resampling.BILINEAR),
    "bicubic": partial(_pillow, filter_=Image.Resampling.BICUBIC),
    "float_antialiased": _float_antialiased,
    "float_bilinear": _float_bilinear,
    "fixed_point_bilinear": _fixed_point_bilinear,
}
