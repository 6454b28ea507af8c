"""COCO's instance JSON, as untrusted input, into photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgekit.catalog.photos import Instance, Photo, RunLengths
from edgekit.errors import BadInput
from edgekit.store import Malformed, printable, record_from_json

_MOST_BYTES = 512 * 2**20  # COCO train2017's instances are 448 MB
_SHOWN = 80  # characters of a file name, so that the reason behind it is still read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Licence:
    id: int
    name: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    id: int
    file_name: str
    license: int | None = None
    flickr_url: str | None = None
    coco_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    image_id: int
    bbox: tuple[float, float, float, float]
    area: float
    segmentation: tuple[tuple[float, ...], ...] | RunLengths
    iscrowd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...] = ()
    licenses: tuple[_Licence, ...] = ()


def photos_from_coco(path: Path) -> tuple[Photo, ...]:
    """The photos of a COCO instance file, with their non-crowd instances, in the file's order.

    Photos are looked for beside the file and in an `images` folder beside it.

    Raises:
        BadInput: it is not COCO JSON, holds no image, names a photo twice, outside the folder or
            one that is not there.
    """
    document = _document(path)
    licences = {licence.id: licence for licence in document.licenses}
    instances = _instances_by_image(document.annotations)
    problems: list[str] = []
    photos: list[Photo] = []
    for image in document.images:
        place = _place_of(image.file_name, path.parent)
        if isinstance(place, str):
            problems.append(f"{repr(image.file_name)[:_SHOWN]} {place}")
            continue
        photos.append(
            Photo(
                path=place,
                id=image.file_name,
                licence=_licence_of(image, licences),
                attribution=_attribution_of(image),
                instances=tuple(instances[image.id]),
            )
        )
    problems += [f"{repr(name)[:_SHOWN]} is there twice" for name in _repeated(document.images)]
    if problems:
        raise _unusable(path, Malformed(tuple(problems)))
    if not photos:
        raise BadInput(f"no photos in {path}", expected="COCO JSON with images")
    return tuple(photos)


def _document(path: Path) -> _Document:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Malformed((f"larger than {_MOST_BYTES} bytes",))
        return record_from_json(_Document, path.read_bytes(), unknown_keys="ignore")
    except Malformed as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _unusable(path: Path, error: Malformed) -> BadInput:
    return BadInput(
        f"{path}: {error}",
        expected="COCO instance JSON whose photos lie beside it or in images/ beside it",
    )


def _instances_by_image(annotations: tuple[_Annotation, ...]) -> defaultdict[int, list[Instance]]:
    found: defaultdict[int, list[Instance]] = defaultdict(list)
    for annotation in annotations:
        segmentation = annotation.segmentation
        if not isinstance(segmentation, RunLengths):
            # COCO itself has a few polygons of one or two points; they cover nothing.
            segmentation = tuple(p for p in segmentation if len(p) >= 6 and len(p) % 2 == 0)
        x, y, width, height = annotation.bbox
        if annotation.iscrowd or segmentation == () or min(width, height) <= 0:
            continue
        box = (x, y, x + width, y + height)
        instance = Instance(box=box, segmentation=segmentation, area=annotation.area)
        found[annotation.image_id].append(instance)
    return found


def _place_of(name: str, folder: Path) -> Path | str:
    """Where the photo lies, or what is wrong with its name.

    A link is followed: data sets kept by DVC, git-annex or a hub cache are folders of links.
    """
    plain, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name.isprintable() or windows.drive or windows.is_absolute() or plain.is_absolute():
        return "is not a relative file name"
    if ".." in windows.parts:
        return "leads out of the folder"
    with suppress(OSError):  # a name longer than the file system takes
        for place in (folder / name, folder / "images" / name):
            if place.is_file():
                return place
    return f"is neither in {folder} nor in {folder / 'images'}"


def _licence_of(image: _Image, licences: dict[int, _Licence]) -> str | None:
    licence = licences.get(image.license) if image.license is not None else None
    if licence is None:
        return None
    return printable(f"{licence.name} ({licence.url})" if licence.url else licence.name)


def _attribution_of(image: _Image) -> str | None:
    source = image.flickr_url or image.coco_url
    return printable(source) if source else None


def _repeated(images: tuple[_Image, ...]) -> Iterator[str]:
    seen: set[str] = set()
    for image in images:
        if image.file_name in seen:
            yield image.file_name
        seen.add(image.file_name)
