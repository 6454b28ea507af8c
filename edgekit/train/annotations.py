"""COCO-format instances read once into memory: photos as RGB arrays, masks as cropped arrays.

A few hundred photos of 512 pixels are about 250 MB; reading them once is what makes the many
cheap steps of the window curriculum possible.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import Rgb

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


def read_annotations(path: Path, *, images: Path | None = None) -> tuple[AnnotatedPhoto, ...]:
    """Read a COCO file with polygons or RLE; `images` defaults to images/ beside it.

    Photos without a region are kept: they still serve distillation. Crowd regions are left out.

    Raises:
        BadInput: the file is not COCO instances, or a photo is missing.
    """
    folder = images or path.parent / "images"
    try:
        document = json.loads(path.read_text())
        entries = sorted(document["images"], key=lambda entry: str(entry["file_name"]))
        by_photo: dict[Any, list[dict[str, Any]]] = {entry["id"]: [] for entry in entries}
        for annotation in document["annotations"]:
            if not annotation.get("iscrowd", 0):
                by_photo[annotation["image_id"]].append(annotation)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} cannot be read as COCO annotations ({error}).",
            expected="JSON with `images` and `annotations` (polygons or RLE)",
            next_step="give the path of an instances JSON with --annotations",
        ) from error
    return tuple(_annotated(entry, by_photo[entry["id"]], folder) for entry in entries)


def _annotated(
    entry: dict[str, Any], annotations: list[dict[str, Any]], folder: Path
) -> AnnotatedPhoto:
    from PIL import Image

    path = folder / entry["file_name"]
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise BadInput(
            f"The annotated photo {path} cannot be read ({error}).",
            expected="every `file_name` beside the JSON, in images/",
        ) from error
    regions = (_region(annotation, pixels.shape[:2]) for annotation in annotations)
    return AnnotatedPhoto(
        name=entry["file_name"], pixels=pixels, regions=tuple(r for r in regions if r is not None)
    )


def _region(annotation: dict[str, Any], size: tuple[int, int]) -> Region | None:
    mask = decoded_mask(annotation["segmentation"], size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Region(
        left=left,
        top=top,
        mask=np.ascontiguousarray(crop) * np.uint8(255),
        thing=bool(annotation.get("isthing", True)),
    )


def decoded_mask(segmentation: Any, size: tuple[int, int]) -> ByteMask:
    """Polygons, compressed RLE or plain RLE to a 0 / 1 mask of `size` (height, width)."""
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise RuntimeMissing(
            "pycocotools is needed to read instance masks.",
            next_step="pip install 'edgekit[export]'",
        ) from error
    height, width = size
    if isinstance(segmentation, list):
        encoded = coco.merge(coco.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        encoded = coco.frPyObjects(segmentation, height, width)
    else:
        encoded = segmentation
    decoded: ByteMask = np.asarray(coco.decode(encoded), dtype=np.uint8)
    return decoded
