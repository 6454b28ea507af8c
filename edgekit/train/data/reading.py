"""The photos of a run, split into those to train on and those held out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from edgekit.catalog import Photo, PhotoSet, photos_from, photos_from_coco
from edgekit.errors import BadInput
from edgekit.runtime.photo_check import require_readable
from edgekit.train.data.annotations import annotated_photo
from edgekit.train.data.canvases import SIDE, Canvas, Canvases, canvas_of, memory_of, stacked

T = TypeVar("T")

_HELD_OUT_EVERY = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a run learns from and what it is measured on.

    `train` and `held_out` are the photos with masks, on one device; `train_files` and
    `held_out_files` the files of all photos. `coco` are the annotation files as read.
    """

    coco: tuple[PhotoSet, ...]
    train: Canvases
    held_out: Canvases
    train_files: tuple[Path, ...]
    held_out_files: tuple[Path, ...]

    def to(self, device: torch.device) -> Data:
        """The same with its photos on a device."""
        return replace(self, train=self.train.to(device), held_out=self.held_out.to(device))


def read_data(annotations: Sequence[Path], photos: Path | None) -> Data:
    """Read what a run learns from.

    Args:
        annotations: COCO files; their photos are in `photos`, or where `photos_from_coco` searches.
        photos: a folder of photos, annotated or not.

    Raises:
        BadInput: neither is given, or they cannot be used.
    """
    if annotations:
        return _annotated_data(annotated_sets(annotations, photos), photos)
    if photos is None:
        raise BadInput(
            "There are no photos to learn from.", expected="--annotations COCO.json or --photos DIR"
        )
    train_files, held_out_files = split(_files(_readable(photos_from(photos))))
    return Data(
        coco=(),
        train=stacked(()),
        held_out=stacked(()),
        train_files=train_files,
        held_out_files=held_out_files,
    )


def annotated_sets(annotations: Sequence[Path], photos: Path | None) -> tuple[PhotoSet, ...]:
    """The photos of each COCO file, all of them readable.

    Raises:
        BadInput: a file or photo cannot be used, or a photo is in two of the files.
    """
    sets = tuple(photos_from_coco(file, photo_dir=photos) for file in annotations)
    first: dict[Path, PhotoSet] = {}
    for each in sets:
        for photo in _readable(each).photos:
            other = first.setdefault(photo.path.resolve(), each)
            if other is not each:
                raise BadInput(
                    f"The photo {photo.path} is in {other.name} and in {each.name}.",
                    expected="each photo once, so that none is both trained on and held out",
                    next_step="leave one of the files out, or remove the photo from one",
                )
    return sets


def photos_in_order(sets: Sequence[PhotoSet]) -> list[Photo]:
    """The photos of all sets by their names, whatever order the files list them in."""
    return sorted((photo for each in sets for photo in each.photos), key=lambda photo: photo.id)


def _annotated_data(coco: tuple[PhotoSet, ...], photos: Path | None) -> Data:
    train, held_out = split(_with_masks(photos_in_order(coco)))
    held = {photo.path.resolve() for photo, _ in held_out}
    files = _files(*((_readable(photos_from(photos)),) if photos else coco))
    return Data(
        coco=coco,
        train=stacked([canvas for _, canvas in train]),
        held_out=stacked([canvas for _, canvas in held_out]),
        train_files=tuple(file for file in files if file.resolve() not in held),
        held_out_files=tuple(file for file in files if file.resolve() in held),
    )


def _with_masks(photos: Sequence[Photo]) -> tuple[tuple[Photo, Canvas], ...]:
    """The photos that have a mask, on their canvases, read by as many threads as there are cores.

    Only their canvases stay in memory.
    """

    def read(photo: Photo) -> Canvas:
        return canvas_of(annotated_photo(photo))

    _require_memory(photos)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        canvases = tuple(zip(photos, threads.map(read, photos), strict=True))
    found = tuple((photo, canvas) for photo, canvas in canvases if canvas.masks)
    if not found:
        raise BadInput(
            "The annotations contain no instances to learn from.",
            expected="polygons or RLE masks (not boxes alone) that are not crowds, of at least "
            f"10 x 10 pixels where the photo's long side is {SIDE}",
            next_step="give an instances JSON with --annotations",
        )
    return found


def _require_memory(photos: Sequence[Photo]) -> None:
    """Refuse photos whose canvases do not fit; they are held twice while they are stacked."""
    import psutil

    needed = 2 * memory_of(len(photos), sum(len(photo.instances) for photo in photos))
    available = psutil.virtual_memory().available
    if needed > available:
        raise BadInput(
            f"Training on these {len(photos)} photos takes {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are free.",
            expected="photos that fit, since each step draws from all of them",
            next_step="give an instances JSON of fewer photos, or use a larger machine",
        )


def _readable(photos: PhotoSet) -> PhotoSet:
    require_readable(photos)
    return photos


def _files(*sets: PhotoSet) -> tuple[Path, ...]:
    return tuple(photo.path for each in sets for photo in each.photos)


def split(photos: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Split into photos to train on and photos held out: one in fourteen, none of a single one."""
    if len(photos) < 2:
        return photos, ()
    train = tuple(photo for i, photo in enumerate(photos) if i % _HELD_OUT_EVERY)
    return train, photos[::_HELD_OUT_EVERY]
