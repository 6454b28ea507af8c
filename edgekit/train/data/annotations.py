"""One annotated photo: its pixels, and masks cropped to their regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Instance, Photo, instance_mask
from edgekit.records import Rgb
from edgekit.runtime.photo import load_photo

ByteMask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One annotated region: `mask` [h, w] of 0 or 255 starts at (`left`, `top`) of the photo.

    `thing` is false for background material (sky, grass), which weighs less in training.
    """

    left: int
    top: int
    mask: ByteMask
    thing: bool

    @property
    def area(self) -> int:
        """Pixels of the region."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedPhoto:
    """A photo [H, W, 3] and its regions."""

    name: str
    pixels: Rgb
    regions: tuple[Region, ...]


def annotated_photo(photo: Photo) -> AnnotatedPhoto:
    """Load a photo with its regions.

    Raises:
        BadInput: it cannot be read, or an annotation does not fit it.
    """
    pixels = load_photo(photo.path)
    masked = (instance for instance in photo.instances if instance.segmentation is not None)
    regions = (_region(instance, pixels.shape[:2]) for instance in masked)
    return AnnotatedPhoto(
        name=photo.id,
        pixels=pixels,
        regions=tuple(region for region in regions if region is not None),
    )


def _region(instance: Instance, size: tuple[int, int]) -> Region | None:
    mask = instance_mask(instance, *size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Region(
        left=left,
        top=top,
        mask=np.where(crop, np.uint8(255), np.uint8(0)),
        thing=instance.thing,
    )
