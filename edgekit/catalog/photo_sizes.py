"""Whether annotations belong to a photo of this size. Only the photo's header is read.

One rule for polygons, boxes and run lengths: the annotations must be of the upright photo's size.
They are not turned or scaled: a JSON does not say whether an annotator saw a photo upright or as it
is stored, and figures are given at the photo's own resolution.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgekit.catalog.photo_formats import photo_formats
from edgekit.catalog.photos import Instance
from edgekit.records import RunLengths

Size = tuple[int, int]
"""Width and height in pixels."""

_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})  # by 90 degrees, mirrored or not
_ROUNDED = 2.0  # pixels by which an annotation may end outside its photo

TURNED = (
    "if the annotations were drawn on the photo as displayed, swap width and height in the JSON; "
    "otherwise remove the photo's tag: exiftool -Orientation= PHOTO"
)
RESIZED = "use the photos that were annotated, at their original size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Annotations that are not of their photo's size: `reason` about the photo, and the way out."""

    reason: str
    next_step: str = RESIZED


def misfit(photo: Path, annotated: Size | None, instances: tuple[Instance, ...]) -> Misfit | None:
    """What does not fit between a photo and its annotations; None if all fits.

    Where nothing states the annotated size, the boxes must end inside the photo. A photo whose
    header cannot be read is passed over: loading it will say so.

    Args:
        photo: the file.
        annotated: width and height as the JSON states them.
        instances: with their boxes, and the sizes of their run lengths.
    """
    sizes = _sizes(photo) if instances else None
    if sizes is None:
        return None
    upright, stored = sizes
    stated = [annotated] if annotated else []
    masks = (i.segmentation for i in instances if isinstance(i.segmentation, RunLengths))
    stated += [(mask.size[1], mask.size[0]) for mask in masks]
    wrong = next((size for size in stated if size != upright), None)
    if wrong:
        return _of_another_size(wrong, upright, stored)
    return None if stated else _outside(upright, instances)


def _of_another_size(annotated: Size, upright: Size, stored: Size) -> Misfit:
    both = f"is annotated at {_text(annotated)} and is {_text(upright)}"
    if annotated == stored:
        return Misfit(reason=f"{both} once its EXIF orientation is applied", next_step=TURNED)
    (width, height), (across, down) = annotated, upright
    factor = across / max(width, 1)
    resized = abs(height * factor - down) <= max(1.0, factor)
    return Misfit(reason=f"{both}, a resized copy" if resized else both)


def _outside(upright: Size, instances: tuple[Instance, ...]) -> Misfit | None:
    right = max(instance.box[2] for instance in instances)
    bottom = max(instance.box[3] for instance in instances)
    if right <= upright[0] + _ROUNDED and bottom <= upright[1] + _ROUNDED:
        return None
    return Misfit(
        reason=f"is {_text(upright)} and its annotations reach x {right:g} and y {bottom:g}"
    )


def _sizes(path: Path) -> tuple[Size, Size] | None:
    """The size of a photo upright and as stored; None if the header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=photo_formats()) as image:
                # PngImageFile.getexif decodes the whole file in search of a late chunk.
                turned = Image.Image.getexif(image).get(_ORIENTATION) in _TURNED
                other = (image.height, image.width) if turned else image.size
                # Pillow gives the upright size of a TIFF, and the stored size of other files.
                tiff = image.format == "TIFF"
                return (image.size, other) if tiff else (other, image.size)
    except Exception:  # Pillow's plugins raise anything on damaged files
        return None


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
