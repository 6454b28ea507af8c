"""Image sets that come with edgekit, and photos that a user names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.catalog.annotations import photos_from_coco
from edgekit.catalog.photos import Photo, PhotoSet
from edgekit.catalog.tables import (
    names_in,
    record_from_toml,
    table_dir,
    unknown_name,
    unreadable_tables,
)
from edgekit.errors import BadInput
from edgekit.store import Malformed, sha256_of, user_path

MAX_CALIBRATION_PHOTOS = 64
"""The limit for a source without a `take` of its own. Each photo takes seconds."""

_CALIBRATION_SET = "half"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_SUFFIXES |= {".gif", ".avif", ".heic", ".heif"}
"""Files that count as photos. HEIC needs a package; a file that cannot be read is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListedFile:
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One `calibration/NAME.toml`: the source of its photos and how many to take.

    There is exactly one source: `photos`, listed with their digests and `annotations`; `set`,
    another table; or `path`, a folder or a COCO JSON. Paths are relative to the table. `take` None
    means all.
    """

    name: str
    annotations: _ListedFile | None = None
    photos: tuple[_ListedFile, ...] = ()
    set: str | None = None
    path: str | None = None
    take: int | None = None


def image_sets() -> tuple[str, ...]:
    """The names of the image sets, sorted."""
    return names_in("calibration")


def image_set(name: str = "default") -> PhotoSet:
    """One of edgekit's own image sets. Its files are checked against their SHA-256.

    Raises:
        UnknownName: no set has this name.
        BadInput: its table cannot be read, a file is missing or was changed, or it has fewer
            photos than the table asks for.
    """
    if name not in image_sets():
        raise unknown_name("image set", name, known=image_sets(), command="edgekit export --help")
    folder = table_dir("calibration")
    try:
        table = record_from_toml(_Table, folder / f"{name}.toml")
        _check_source(table)
        _check_digests(folder, table)
    except Malformed as error:
        raise unreadable_tables(error.problems, where=folder) from error
    photos = _photos_of(table, folder)
    return PhotoSet(name=name, photos=_evenly_spaced(photos, table.take or len(photos), of=name))


def calibration_set(source: str | None = None, *, photo_dir: Path | None = None) -> PhotoSet:
    """The photos to calibrate on: an image set's name, or a folder, COCO JSON or photo.

    None means half of the bundled photos; the others are left for verification. From a user's own
    source at most `MAX_CALIBRATION_PHOTOS` are taken, evenly spaced. `photo_dir` is as for
    `photos_from`.

    Raises:
        UnknownName: it is neither a set nor a path.
        BadInput: as for `image_set` and `photos_from`.
    """
    if source is None or source in image_sets():
        _refuse_folder(photo_dir, beside=f"the image set {source or _CALIBRATION_SET!r}")
        return image_set(source or _CALIBRATION_SET)
    if not user_path(source).exists() and source == Path(source).name:
        raise unknown_name(
            "image set or path", source, known=image_sets(), command="edgekit export --help"
        )
    found = photos_from(Path(source), photo_dir=photo_dir)
    count = min(len(found.photos), MAX_CALIBRATION_PHOTOS)
    return PhotoSet(name=found.name, photos=_evenly_spaced(found.photos, count, of=found.name))


def held_out_set() -> PhotoSet:
    """The default photos outside the default calibration. Every export is verified on them."""
    default, calibrated = image_set(), {photo.path for photo in calibration_set().photos}
    held_out = tuple(photo for photo in default.photos if photo.path not in calibrated)
    return PhotoSet(name=f"{default.name}, held out", photos=held_out)


def _photos_of(table: _Table, folder: Path) -> tuple[Photo, ...]:
    if table.set is not None:
        return image_set(table.set).photos
    if table.path is not None:
        return photos_from(folder / table.path).photos
    assert table.annotations is not None
    photos = photos_from_coco(folder / table.annotations.file).photos
    annotated = {photo.path: photo for photo in photos}
    return tuple(annotated[folder / listed.file] for listed in table.photos)


def _evenly_spaced(photos: tuple[Photo, ...], count: int, *, of: str) -> tuple[Photo, ...]:
    """Take `count` of the photos, evenly spaced."""
    if count > len(photos):
        raise BadInput(
            f"The image set {of!r} asks for {count} photos and has {len(photos)}.",
            expected=f"at least {count} photos",
            next_step="add photos, or lower `take` in its table",
        )
    return tuple(photos[index * len(photos) // count] for index in range(count))


def photos_from(path: Path, *, photo_dir: Path | None = None) -> PhotoSet:
    """The photos of a folder and its subfolders (sorted by path, hidden ones left out), of a COCO
    instance JSON, or a single photo.

    `photo_dir` is where the photos of a JSON are searched first; it goes with nothing else.

    Raises:
        BadInput: there are none, or the JSON cannot be used (see `photos_from_coco`).
    """
    path = user_path(path)
    kind = _kind_of(path)
    if kind == "folder" or (kind == "file" and not _is_json(path)):
        _refuse_folder(photo_dir, beside=str(path))
    if kind == "folder":
        return PhotoSet(name=str(path), photos=_photos_in(path))
    if kind == "nothing":
        raise BadInput(f"no such file or folder: {path}", expected="photos, or a COCO JSON")
    if _is_json(path):
        return photos_from_coco(path, photo_dir=user_path(photo_dir) if photo_dir else None)
    return PhotoSet(name=str(path), photos=(Photo(path=path, id=path.name),))


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _refuse_folder(photo_dir: Path | None, *, beside: str) -> None:
    """Refuse a folder that would not be used, because the photos are known already."""
    if photo_dir is not None:
        raise BadInput(
            f"--photos {photo_dir} is not used: {beside} is no COCO JSON.",
            expected="--photos DIR with a COCO JSON, whose photos it holds",
            next_step="leave out one of the two",
        )


def _kind_of(path: Path) -> Literal["folder", "file", "nothing"]:
    try:
        if path.is_dir():
            return "folder"
        return "file" if path.is_file() else "nothing"
    except OSError as error:  # no permission, or the name is too long
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _photos_in(folder: Path) -> tuple[Photo, ...]:
    try:
        files = sorted(_files_below(folder))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}") from error
    if not files:
        raise BadInput(
            f"no photos in {folder} or its subfolders",
            expected=f"files named {', '.join(f'*{suffix}' for suffix in sorted(_SUFFIXES))}",
        )
    return tuple(Photo(path=file, id=file.relative_to(folder).as_posix()) for file in files)


def _files_below(folder: Path) -> Iterator[Path]:
    """The photos of a folder and its subfolders. Links to folders are not followed."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        yield from (Path(parent, name) for name in files if _is_photo(Path(parent, name)))


def _is_photo(file: Path) -> bool:
    hidden = file.name.startswith(".")  # "._x.jpg" is what macOS leaves on foreign disks
    return file.suffix.lower() in _SUFFIXES and not hidden and file.is_file()


def _check_source(table: _Table) -> None:
    given = [bool(table.photos), table.set is not None, table.path is not None]
    problems = []
    if sum(given) != 1:
        problems.append("exactly one of photos, set and path is needed")
    if bool(table.photos) != (table.annotations is not None):
        problems.append("annotations: go with photos")
    if table.set == table.name:
        problems.append("set: names the table itself")
    if table.take is not None and table.take < 1:
        problems.append("take: must be at least 1")
    if problems:
        raise Malformed(tuple(f"{table.name}.toml: {problem}" for problem in problems))


def _check_digests(folder: Path, table: _Table) -> None:
    problems = [
        f"{listed.file}: is missing or was changed"
        for listed in (*([table.annotations] if table.annotations else []), *table.photos)
        if not (folder / listed.file).is_file() or sha256_of(folder / listed.file) != listed.sha256
    ]
    if problems:
        raise Malformed(tuple(problems))
