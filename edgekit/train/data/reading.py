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
    `held_out_files` the files of all photos. `coco` is the annotation file as read, None without
    one.
    """

    coco: PhotoSet | None
    train: Canvases
    held_out: Canvases
    train_files: tuple[Path, ...]
    held_out_files: tuple[Path, ...]

    def to(self, device: torch.device) -> Data:
        """The same with its photos on a device."""
        return replace(self, train=self.train.to(device), held_out=self.held_out.to(device))


def read_data(annotations: Path | None, photos: Path | None) -> Data:
    """Read what a run learns from.

    Args:
        annotations: a COCO file; its photos are in `photos`, or where `photos_from_coco` searches.
        photos: a folder of photos, annotated or not.

    Raises:
        BadInput: neither is given, or they cannot be used.
    """
    if annotations:
        return _annotated_data(photos_from_coco(annotations, photo_dir=photos), photos)
    if photos is None:
        raise BadInput(
            "There are no photos to learn from.", expected="--annotations COCO.json or --photos DIR"
        )
    train_files, held_out_files = split(_files(_readable(photos_from(photos))))
    return Data(
        coco=None,
        train=stacked(()),
        held_out=stacked(()),
        train_files=train_files,
        held_out_files=held_out_files,
    )


def _annotated_data(coco: PhotoSet, photos: Path | None) -> Data:
    photos_in_order = sorted(_readable(coco).photos, key=lambda photo: photo.id)
    train, held_out = split(_with_masks(photos_in_order))
    held_names = {photo.path.name for photo, _ in held_out}
    files = _files(_readable(photos_from(photos)) if photos else coco)
    return Data(
        coco=coco,
        train=stacked([canvas for _, canvas in train]),
        held_out=stacked([canvas for _, canvas in held_out]),
        train_files=tuple(file for file in files if file.name not in held_names),
        held_out_files=tuple(file for file in files if file.name in held_names),
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


def _files(photos: PhotoSet) -> tuple[Path, ...]:
    return tuple(photo.path for photo in photos.photos)


def split(photos: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Split into photos to train on and photos held out: one in fourteen, none of a single one."""
    if len(photos) < 2:
        return photos, ()
    train = tuple(photo for i, photo in enumerate(photos) if i % _HELD_OUT_EVERY)
    return train, photos[::_HELD_OUT_EVERY]
