"""Image sets that come with edgekit, and photos that a user points at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.catalog.annotations import photos_from_coco
from edgekit.catalog.photos import Photo, PhotoSet
from edgekit.catalog.tables import names_in, record_from_toml, table_dir, unknown, unusable
from edgekit.errors import BadInput
from edgekit.store import Malformed, sha256_of

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One `calibration/NAME.toml`; paths are relative to it."""

    name: str
    annotations: _Listed
    photos: tuple[_Listed, ...]


def image_sets() -> tuple[str, ...]:
    """The names of the image sets, sorted."""
    return names_in("calibration")


def image_set(name: str = "default") -> PhotoSet:
    """An image set of edgekit's own, its files checked against their SHA-256.

    Raises:
        UnknownName: no set has this name.
        BadInput: its table does not read, or a file is missing or was changed.
    """
    if name not in image_sets():
        raise unknown("image set", name, known=image_sets(), command="edgekit verify --help")
    folder = table_dir("calibration")
    try:
        table = record_from_toml(_Table, folder / f"{name}.toml")
        _refuse_changed(folder, table)
    except Malformed as error:
        raise unusable(error.problems, where=folder) from error
    annotated = {photo.path: photo for photo in photos_from_coco(folder / table.annotations.file)}
    return PhotoSet(name=name, photos=tuple(annotated[folder / p.file] for p in table.photos))


def photos_from(path: Path) -> PhotoSet:
    """The photos of a folder (sorted by name), of a COCO instance JSON, or a single photo.

    Raises:
        BadInput: there are none, or the JSON cannot be used (see photos_from_coco).
    """
    path = path.expanduser()
    kind = _kind_of(path)
    if kind == "folder":
        return PhotoSet(name=str(path), photos=_photos_in(path))
    if kind == "nothing":
        raise BadInput(f"no such file or folder: {path}", expected="photos, or a COCO JSON")
    if path.suffix.lower() == ".json":
        return PhotoSet(name=str(path), photos=photos_from_coco(path))
    return PhotoSet(name=str(path), photos=(Photo(path=path, id=path.name),))


def _kind_of(path: Path) -> Literal["folder", "file", "nothing"]:
    try:
        if path.is_dir():
            return "folder"
        return "file" if path.is_file() else "nothing"
    except OSError as error:  # not permitted, or a name too long
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _photos_in(folder: Path) -> tuple[Photo, ...]:
    try:
        files = sorted(file for file in folder.iterdir() if _is_photo(file))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}") from error
    if not files:
        raise BadInput(
            f"no photos in {folder}",
            expected=f"files named {', '.join(f'*{suffix}' for suffix in sorted(_SUFFIXES))}",
        )
    return tuple(Photo(path=file, id=file.name) for file in files)


def _is_photo(file: Path) -> bool:
    hidden = file.name.startswith(".")  # "._x.jpg" is what macOS leaves on foreign disks
    return file.suffix.lower() in _SUFFIXES and not hidden and file.is_file()


def _refuse_changed(folder: Path, table: _Table) -> None:
    problems = [
        f"{listed.file}: is missing or was changed"
        for listed in (table.annotations, *table.photos)
        if not (folder / listed.file).is_file() or sha256_of(folder / listed.file) != listed.sha256
    ]
    if problems:
        raise Malformed(tuple(problems))
