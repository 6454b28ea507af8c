"""COCO's JSON, untrusted input, read into photos with their instances.

The only parser of COCO in edgekit: verification, calibration and training all read through it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgekit.catalog.photos import Instance, Photo, PhotoSet, RunLengths
from edgekit.errors import BadInput
from edgekit.store import Malformed, printable, record_from_json

_MAX_BYTES = 512 * 2**20  # the instances of COCO train2017 are 448 MB
_SHOWN = 80  # characters of a file name, so that the reason after it stays readable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Info:
    annotations_licence: str | None = None


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
    """`isthing` is panoptic COCO's flag; instance files do not have it."""

    image_id: int
    bbox: tuple[float, float, float, float]
    area: float
    segmentation: tuple[tuple[float, ...], ...] | RunLengths
    iscrowd: int = 0
    isthing: bool | int = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...] = ()
    licenses: tuple[_Licence, ...] = ()
    info: _Info | None = None


def photos_from_coco(path: Path, *, photo_dir: Path | None = None) -> PhotoSet:
    """Read a COCO instance file: its photos with their non-crowd instances, in the file's order.

    Args:
        path: the JSON.
        photo_dir: searched first for the photos; then the JSON's folder and `images` inside it.

    Raises:
        BadInput: the file is not COCO JSON, is larger than 512 MiB or lists no image; or a photo is
            missing, listed twice or outside its folder.
    """
    document = _read(path)
    folders = [folder for folder in (photo_dir, path.parent, path.parent / "images") if folder]
    licences = {licence.id: licence for licence in document.licenses}
    instances = _instances_by_image(document.annotations)
    problems: list[str] = []
    photos: list[Photo] = []
    for image in document.images:
        file = _photo_file(image.file_name, folders)
        if isinstance(file, str):
            problems.append(f"{repr(image.file_name)[:_SHOWN]} {file}")
            continue
        photos.append(
            Photo(
                path=file,
                id=image.file_name,
                licence=_licence_of(image, licences),
                attribution=_attribution_of(image),
                instances=tuple(instances[image.id]),
            )
        )
    problems += [f"{repr(name)[:_SHOWN]} is listed twice" for name in _repeated(document.images)]
    if problems:
        raise _unusable(path, Malformed(tuple(problems)))
    if not photos:
        raise BadInput(f"{path} lists no photos", expected="COCO JSON with `images`")
    terms = document.info.annotations_licence if document.info else None
    return PhotoSet(
        name=str(path),
        photos=tuple(photos),
        annotations_licence=printable(terms) if terms else None,
    )


def _read(path: Path) -> _Document:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Malformed((f"larger than {_MAX_BYTES} bytes",))
        return record_from_json(_Document, path.read_bytes(), unknown_keys="ignore")
    except Malformed as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", expected="a COCO instance JSON"
        ) from error


def _unusable(path: Path, error: Malformed) -> BadInput:
    return BadInput(
        f"{path}: {error}",
        expected="COCO instance JSON whose photos are beside it or in images/ beside it",
    )


def _instances_by_image(annotations: tuple[_Annotation, ...]) -> defaultdict[int, list[Instance]]:
    by_image: defaultdict[int, list[Instance]] = defaultdict(list)
    for annotation in annotations:
        segmentation = annotation.segmentation
        if not isinstance(segmentation, RunLengths):
            # COCO itself has a few polygons of one or two points; they cover nothing.
            segmentation = tuple(p for p in segmentation if len(p) >= 6 and len(p) % 2 == 0)
        x, y, width, height = annotation.bbox
        if annotation.iscrowd or segmentation == () or min(width, height) <= 0:
            continue
        instance = Instance(
            box=(x, y, x + width, y + height),
            segmentation=segmentation,
            area=annotation.area,
            thing=bool(annotation.isthing),
        )
        by_image[annotation.image_id].append(instance)
    return by_image


def _photo_file(name: str, folders: list[Path]) -> Path | str:
    """The photo's path, or what is wrong with its name.

    Links are followed: data sets kept by DVC, git-annex or a hub cache are folders of links.
    """
    plain, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name.isprintable() or windows.drive or windows.is_absolute() or plain.is_absolute():
        return "is not a relative file name"
    if ".." in windows.parts:
        return "leads out of the folder"
    with suppress(OSError):  # the name is longer than the file system allows
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    return f"is missing: searched {', '.join(str(folder) for folder in folders)}"


def _licence_of(image: _Image, licences: dict[int, _Licence]) -> str | None:
    licence = licences.get(image.license) if image.license is not None else None
    if licence is None:
        return None
    return printable(f"{licence.name} ({licence.url})" if licence.url else licence.name)


def _attribution_of(image: _Image) -> str | None:
    source = image.flickr_url or image.coco_url
    return printable(source) if source else None


def _repeated(images: tuple[_Image, ...]) -> Iterator[str]:
    names: set[str] = set()
    for image in images:
        if image.file_name in names:
            yield image.file_name
        names.add(image.file_name)
