"""Annotated photos, read once into memory: RGB arrays and masks cropped to their region.

A few hundred photos of 512 pixels are about 250 MB. Having them in memory is what makes the many
cheap steps of the window curriculum possible; a set of tens of thousands does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Instance, RunLengths, instance_mask
from edgekit.errors import BadInput
from edgekit.records import BoolArray, Rgb
from edgekit.runtime.photo import load_photo
from edgekit.store import Malformed, record_from_json

ByteMask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One annotated region: `mask` [h, w] of 0 / 255 is the part of the photo from (`left`, `top`).

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    id: int
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    """`isthing` is panoptic COCO's mark; instance files leave it out."""

    image_id: int
    segmentation: tuple[tuple[float, ...], ...] | RunLengths
    iscrowd: int = 0
    isthing: bool | int = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...]


def read_annotations(path: Path, *, images: Path | None = None) -> tuple[AnnotatedPhoto, ...]:
    """Read a COCO file with polygons or RLE, sorted by file name. Crowd regions are left out.

    Args:
        path: the instances JSON.
        images: where its photos lie; they are also looked for beside it and in images/ there.

    Raises:
        BadInput: the file is not COCO instances, a photo is missing, or nothing is annotated.
    """
    try:
        document = record_from_json(_Document, path.read_bytes(), unknown_keys="ignore")
    except (OSError, Malformed) as error:
        raise BadInput(
            f"{path} cannot be read as COCO annotations ({error}).",
            expected="JSON with `images` and `annotations` (polygons or RLE)",
            next_step="give the path of an instances JSON with --annotations",
        ) from error
    by_photo: dict[int, list[_Annotation]] = {image.id: [] for image in document.images}
    for annotation in document.annotations:
        if not annotation.iscrowd and annotation.image_id in by_photo:
            by_photo[annotation.image_id].append(annotation)
    folders = [folder for folder in (images, path.parent, path.parent / "images") if folder]
    photos = tuple(
        _annotated(image, by_photo[image.id], folders)
        for image in sorted(document.images, key=lambda image: image.file_name)
    )
    if not any(photo.regions for photo in photos):
        raise BadInput(f"{path} has no instances.", expected="polygons or RLE masks")
    return photos


def _annotated(
    image: _Image, annotations: list[_Annotation], folders: list[Path]
) -> AnnotatedPhoto:
    pixels = load_photo(_place_of(image.file_name, folders))
    regions = (_region(annotation, pixels.shape[:2]) for annotation in annotations)
    return AnnotatedPhoto(
        name=image.file_name, pixels=pixels, regions=tuple(r for r in regions if r is not None)
    )


def _place_of(name: str, folders: list[Path]) -> Path:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise BadInput(f"The file name {name!r} leads out of the folder of photos.")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise BadInput(
        f"The annotated photo {name} is not there.",
        expected=f"it in {' or '.join(str(folder) for folder in folders)}",
        next_step="name the folder with --photos",
    )


def _region(annotation: _Annotation, size: tuple[int, int]) -> Region | None:
    mask = _mask(annotation, size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Region(
        left=left,
        top=top,
        mask=np.where(crop, np.uint8(255), np.uint8(0)),
        thing=bool(annotation.isthing),
    )


def _mask(annotation: _Annotation, size: tuple[int, int]) -> BoolArray:
    outline = annotation.segmentation
    if not isinstance(outline, RunLengths):
        # COCO itself has a few polygons of one or two points; they cover nothing.
        outline = tuple(p for p in outline if len(p) >= 6 and len(p) % 2 == 0)
        if not outline:
            return np.zeros(size, bool)
    whole = (0.0, 0.0, float(size[1]), float(size[0]))
    return instance_mask(Instance(box=whole, segmentation=outline, area=0.0), *size)
