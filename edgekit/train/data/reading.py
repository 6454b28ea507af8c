"""The photos of a run, split into those to train on and those held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgekit.catalog import PhotoSet, photos_from, photos_from_coco
from edgekit.errors import BadInput
from edgekit.runtime.photo_check import require_readable
from edgekit.train.data.annotations import AnnotatedPhoto, load_annotated

T = TypeVar("T")

_HELD_OUT_EVERY = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a run learns from and what it is measured on.

    `train` and `held_out` are the annotated photos, `train_files` and `held_out_files` the files of
    all photos. `coco` is the annotation file as read, None without one.
    """

    coco: PhotoSet | None
    train: tuple[AnnotatedPhoto, ...]
    held_out: tuple[AnnotatedPhoto, ...]
    train_files: tuple[Path, ...]
    held_out_files: tuple[Path, ...]


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
        coco=None, train=(), held_out=(), train_files=train_files, held_out_files=held_out_files
    )


def _annotated_data(coco: PhotoSet, photos: Path | None) -> Data:
    annotated = load_annotated(_readable(coco).photos)
    train, held_out = split(tuple(photo for photo in annotated if photo.regions))
    held_names = {Path(photo.name).name for photo in held_out}
    files = _files(_readable(photos_from(photos)) if photos else coco)
    return Data(
        coco=coco,
        train=train,
        held_out=held_out,
        train_files=tuple(file for file in files if file.name not in held_names),
        held_out_files=tuple(file for file in files if file.name in held_names),
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
