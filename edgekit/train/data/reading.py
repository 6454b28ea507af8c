"""The photos of a run, and which of them are held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgekit.catalog import photos_from
from edgekit.errors import BadInput
from edgekit.train.data.annotations import AnnotatedPhoto, read_annotations

T = TypeVar("T")

_HELD_OUT_EVERY = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Annotated photos, and the files of all photos, to train on and `held` out."""

    train: tuple[AnnotatedPhoto, ...]
    held: tuple[AnnotatedPhoto, ...]
    train_files: tuple[Path, ...]
    held_files: tuple[Path, ...]


def read_data(annotations: Path | None, photos: Path | None) -> Data:
    """Read what a run learns from.

    Args:
        annotations: a COCO file; its photos lie in `photos`, beside it or in images/ there.
        photos: a folder of photos, annotated or not.

    Raises:
        BadInput: neither is given, or they cannot be used.
    """
    annotated = read_annotations(annotations, images=photos) if annotations else ()
    train, held = split(tuple(photo for photo in annotated if photo.regions))
    where = photos or annotations
    if where is None:
        raise BadInput(
            "There are no photos to learn from.", expected="--annotations COCO.json or --photos DIR"
        )
    files = tuple(photo.path for photo in photos_from(where).photos)
    if not annotated:
        train_files, held_files = split(files)
        return Data(train=(), held=(), train_files=train_files, held_files=held_files)
    kept_out = {Path(photo.name).name for photo in held}
    return Data(
        train=train,
        held=held,
        train_files=tuple(file for file in files if file.name not in kept_out),
        held_files=tuple(file for file in files if file.name in kept_out),
    )


def split(photos: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """What to train on and what is held out: one in fourteen, none of a single photo."""
    if len(photos) < 2:
        return photos, ()
    kept = tuple(photo for i, photo in enumerate(photos) if i % _HELD_OUT_EVERY)
    return kept, photos[::_HELD_OUT_EVERY]
