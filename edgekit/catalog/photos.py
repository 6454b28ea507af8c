"""The records of photos and what is annotated on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Polygons = tuple[tuple[float, ...], ...]
"""x0, y0, x1, y1, ... in photo pixels; several polygons are parts of one instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """COCO's RLE: runs of 0 and 1 in turn, column by column; `counts` plain or packed in a string.

    `size` is [height, width].
    """

    size: tuple[int, int]
    counts: tuple[int, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One annotated object: `box` x0, y0, x1, y1 in photo pixels, `area` in pixels."""

    box: tuple[float, float, float, float]
    segmentation: Polygons | RunLengths
    area: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo on disk; `id` is its name within its set (the file's name)."""

    path: Path
    id: str
    licence: str | None = None
    attribution: str | None = None
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSet:
    """Photos under a name: an image set's, or the path that was given."""

    name: str
    photos: tuple[Photo, ...]
