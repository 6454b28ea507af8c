"""The records of photos and of what is annotated on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.records import RunLengths

Polygons = tuple[tuple[float, ...], ...]
"""x0, y0, x1, y1, ... in photo pixels; several polygons are parts of one instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One annotated region: `box` x0, y0, x1, y1 in photo pixels, `area` in pixels.

    `segmentation` is None for a box without a mask, as in data sets for detectors. `thing` is false
    for background regions (sky, grass) of panoptic COCO. `category` is COCO's category id as text.
    """

    box: tuple[float, float, float, float]
    segmentation: Polygons | RunLengths | None
    area: float
    thing: bool = True
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo on disk; `id` is its name within its set (the file's name).

    `image_id` is the id of its COCO file as text, by which a detector's results name it.
    """

    path: Path
    id: str
    licence: str | None = None
    attribution: str | None = None
    instances: tuple[Instance, ...] = ()
    image_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSet:
    """Named photos; `name` is an image set's name or the path the user gave."""

    name: str
    photos: tuple[Photo, ...]
    annotations_licence: str | None = None
