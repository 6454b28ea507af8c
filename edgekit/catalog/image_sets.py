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

MOST_CALIBRATED = 64
"""Photos of a source that does not say how many: each takes seconds."""

_CALIBRATED_ON = "half"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One `calibration/NAME.toml`: where its photos come from, and how many are taken.

    Exactly one source: `photos`, listed with their digests and `annotations`; `set`, another table;
    or `path`, a folder or a COCO JSON. Paths are relative to the table. `take` None means all.
    """

    name: str
    annotations: _Listed | None = None
    photos: tuple[_Listed, ...] = ()
    set: str | None = None
    path: str | None = None
    take: int | None = None


def image_sets() -> tuple[str, ...]:
    """The names of the image sets, sorted."""
    return names_in("calibration")


def image_set(name: str = "default") -> PhotoSet:
    """An image set of edgekit's own, its files checked against their SHA-256.

    Raises:
        UnknownName: no set has this name.
        BadInput: its table does not read, a file is missing or was changed, or there are fewer
            photos than the table asks for.
    """
    if name not in image_sets():
        raise unknown("image set", name, known=image_sets(), command="edgekit export --help")
    folder = table_dir("calibration")
    try:
        table = record_from_toml(_Table, folder / f"{name}.toml")
        _refuse_wrong(table)
        _refuse_changed(folder, table)
    except Malformed as error:
        raise unusable(error.problems, where=folder) from error
    photos = _photos_of(table, folder)
    return PhotoSet(name=name, photos=_taken(photos, table.take or len(photos), of=name))


def calibration_set(source: str | None = None) -> PhotoSet:
    """The photos to calibrate on: an image set's name, or a folder, COCO JSON or photo.

    None is edgekit's own: half of the bundled photos, so that the others are left to verify with.
    Of a source of the user's, at most `MOST_CALIBRATED` photos, evenly spaced.

    Raises:
        UnknownName: it is neither a set nor a path.
        BadInput: as `image_set` and `photos_from`.
    """
    if source is None or source in image_sets():
        return image_set(source or _CALIBRATED_ON)
    if not Path(source).expanduser().exists() and source == Path(source).name:
        raise unknown(
            "image set or path", source, known=image_sets(), command="edgekit export --help"
        )
    found = photos_from(Path(source))
    count = min(len(found.photos), MOST_CALIBRATED)
    return PhotoSet(name=found.name, photos=_taken(found.photos, count, of=found.name))


def held_out_set() -> PhotoSet:
    """The default photos that are not calibrated on by default: what every export is checked on."""
    default, calibrated = image_set(), {photo.path for photo in calibration_set().photos}
    left = tuple(photo for photo in default.photos if photo.path not in calibrated)
    return PhotoSet(name=f"{default.name}, held out", photos=left)


def _photos_of(table: _Table, folder: Path) -> tuple[Photo, ...]:
    if table.set is not None:
        return image_set(table.set).photos
    if table.path is not None:
        return photos_from(folder / table.path).photos
    assert table.annotations is not None
    photos = photos_from_coco(folder / table.annotations.file).photos
    annotated = {photo.path: photo for photo in photos}
    return tuple(annotated[folder / listed.file] for listed in table.photos)


def _taken(photos: tuple[Photo, ...], count: int, *, of: str) -> tuple[Photo, ...]:
    """`count` of the photos, evenly spaced."""
    if count > len(photos):
        raise BadInput(
            f"The image set {of!r} asks for {count} photos and has {len(photos)}.",
            expected=f"at least {count} photos",
            next_step="add photos, or lower `take` in its table",
        )
    return tuple(photos[index * len(photos) // count] for index in range(count))


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
        return photos_from_coco(path)
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


def _refuse_wrong(table: _Table) -> None:
    given = [bool(table.photos), table.set is not None, table.path is not None]
    problems = []
    if sum(given) != 1:
        problems.append("one of photos, set and path is needed, and only one")
    if bool(table.photos) != (table.annotations is not None):
        problems.append("annotations: go with photos")
    if table.set == table.name:
        problems.append("set: is the table itself")
    if table.take is not None and table.take < 1:
        problems.append("take: must be at least 1")
    if problems:
        raise Malformed(tuple(f"{table.name}.toml: {problem}" for problem in problems))


def _refuse_changed(folder: Path, table: _Table) -> None:
    problems = [
        f"{listed.file}: is missing or was changed"
        for listed in (*([table.annotations] if table.annotations else []), *table.photos)
        if not (folder / listed.file).is_file() or sha256_of(folder / listed.file) != listed.sha256
    ]
    if problems:
        raise Malformed(tuple(problems))
