"""COCO's JSON, untrusted input, read into photos with their instances.

The only parser of COCO in edgekit: verification, calibration and training all read through it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.catalog.photo_folders import photo_file, photo_folders
from edgekit.catalog.photo_sizes import Size, misfit
from edgekit.catalog.photos import Instance, Photo, PhotoSet
from edgekit.catalog.segmentations import (
    area_of,
    box_around,
    read_area,
    read_box,
    read_segmentation,
)
from edgekit.errors import BadInput
from edgekit.store import Malformed, printable, record_from_json, utf8_of

_MAX_BYTES = 512 * 2**20  # the instances of COCO train2017 are 448 MB
_SHOWN = 80  # characters of a file name, so that the reason after it stays readable
_EXAMPLES = 3
_LONGEST = 10  # digits of a side in pixels
_LONGEST_LICENCE = 300  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    file_name: str
    id: object = None
    width: object = None
    height: object = None
    license: object = None
    flickr_url: object = None
    coco_url: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    """`isthing` is panoptic COCO's flag; instance files do not have it."""

    image_id: object = None
    bbox: object = None
    area: object = None
    segmentation: object = None
    iscrowd: object = None
    isthing: object = None
    category_id: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """Fields of type `object` are read here, not by the JSON reader: tools write many forms."""

    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...] | None = None
    licenses: object = None
    info: object = None


def photos_from_coco(path: Path, *, photo_dir: Path | None = None) -> PhotoSet:
    """Read a COCO instance file: its photos with their non-crowd instances, in the file's order.

    What tools write besides COCO is taken where it has one meaning: a byte order mark, backslashes
    in file names, ids as numbers or text, flags as booleans, a missing area or bbox, boxes without
    masks, and the forms of `segmentations`.

    Args:
        path: the JSON.
        photo_dir: searched first for the photos; then the folders of `photo_folders`.

    Raises:
        BadInput: the file is not COCO JSON, is larger than 512 MiB or lists no image; a photo is
            missing, listed twice or outside its folder; or annotations are not of the size of
            their upright photo.
    """
    document = _read(path)
    if not document.images:
        raise BadInput(f"{path} lists no photos", expected="COCO JSON with `images`")
    ids = _image_ids(path, document.images)
    instances = _instances_by_image(path, document.annotations or ())
    files = _photo_files(path, document.images, photo_folders(path, photo_dir))
    by_photo = [tuple(instances[one]) for one in ids]
    _check_sizes(path, document.images, files, by_photo)
    licences = dict(_licences(document.licenses))
    photos = tuple(
        Photo(
            path=file,
            id=image.file_name,
            image_id=one,
            licence=_licence_of(image, licences),
            attribution=_attribution_of(image),
            instances=annotated,
        )
        for image, one, file, annotated in zip(document.images, ids, files, by_photo, strict=True)
    )
    return PhotoSet(name=str(path), photos=photos, annotations_licence=_terms(document.info))


def instances_from_coco(path: Path) -> dict[str, tuple[Instance, ...]]:
    """The non-crowd instances of each image of a COCO instance file, by the image's file name.

    The photos themselves are not looked for.

    Raises:
        BadInput: the file is not COCO JSON, or is larger than 512 MiB.
    """
    document = _read(path)
    ids = _image_ids(path, document.images)
    instances = _instances_by_image(path, document.annotations or ())
    return {
        image.file_name: tuple(instances[one])
        for image, one in zip(document.images, ids, strict=True)
    }


def _read(path: Path) -> _Document:
    try:
        text = utf8_of(path, most_bytes=_MAX_BYTES)
        _require_object(text)
        return record_from_json(_Document, text, unknown_keys="ignore")
    except Malformed as error:
        raise _unusable(path, error.problems) from error
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", expected="a COCO instance JSON"
        ) from error


def _require_object(text: bytes) -> None:
    """Say of a list and of nothing at all what they are, which the JSON reader does not."""
    start = text.lstrip()[:1]
    if start == b"[":
        raise Malformed(("a list; COCO has an object with `images` and `annotations`",))
    if not start:
        raise Malformed(("empty",))


def _unusable(
    path: Path,
    problems: Sequence[str],
    *,
    expected: str = "COCO instance JSON",
    next_step: str | None = None,
) -> BadInput:
    """One line with at most three of the problems, and how many more there are."""
    shown = [printable(problem) for problem in problems[:_EXAMPLES]]
    if len(problems) > _EXAMPLES:
        shown.append(f"and {len(problems) - _EXAMPLES} more")
    return BadInput(f"{path}: {'; '.join(shown)}", expected=expected, next_step=next_step)


def _image_ids(path: Path, images: tuple[_Image, ...]) -> list[str]:
    ids: list[str] = []
    problems: list[str] = []
    for index, image in enumerate(images):
        one = id_text(image.id)
        ids.append(one or "")
        if one is None:
            problems.append(f"images.{index}.id: expected a number or text")
    problems += [
        f"image id {printable(one)} is listed twice" for one in _repeated(filter(None, ids))
    ]
    if problems:
        raise _unusable(path, problems)
    return ids


def id_text(value: object) -> str | None:
    """COCO's id as text, so that 1, 1.0 and "1" are the same; None if it cannot be an id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    usable = isinstance(value, int | str) and not isinstance(value, bool)
    return str(value) if usable else None


def _instances_by_image(
    path: Path, annotations: tuple[_Annotation, ...]
) -> defaultdict[str, list[Instance]]:
    by_image: defaultdict[str, list[Instance]] = defaultdict(list)
    problems: list[str] = []
    for index, annotation in enumerate(annotations):
        image = id_text(annotation.image_id)
        try:
            if image is None:
                raise Malformed(("image_id: expected a number or text",))
            instance = _instance(annotation)
        except Malformed as error:
            problems += [f"annotations.{index}.{problem}" for problem in error.problems]
        except BadInput as error:
            problems.append(f"annotations.{index}.segmentation: {error.what}")
        else:
            by_image[image] += [instance] if instance else []
    if problems:
        raise _unusable(path, problems)
    return by_image


def _instance(annotation: _Annotation) -> Instance | None:
    """None for a crowd, and for an annotation that covers nothing.

    Raises:
        Malformed: a field is of another form.
        BadInput: the run lengths, of which the box or area is computed, are damaged.
    """
    segmentation = read_segmentation(annotation.segmentation)
    box, area = read_box(annotation.bbox), read_area(annotation.area)
    thing = _flag("isthing", annotation.isthing, default=True)
    if _flag("iscrowd", annotation.iscrowd, default=False) or segmentation == ():
        return None
    if box is None and segmentation is not None:
        box = box_around(segmentation)
    if box is None or box[0] >= box[2] or box[1] >= box[3]:
        return None
    area = area_of(segmentation, box) if area is None else area
    category = id_text(annotation.category_id)
    return Instance(box=box, segmentation=segmentation, area=area, thing=thing, category=category)


def _flag(name: str, value: object, *, default: bool) -> bool:
    if value is None:
        return default
    if value not in (0, 1):
        raise Malformed((f"{name}: expected 0 or 1",))
    return bool(value)


def _photo_files(path: Path, images: tuple[_Image, ...], folders: tuple[Path, ...]) -> list[Path]:
    files: list[Path] = []
    problems: list[str] = []
    for image in images:
        file = photo_file(image.file_name, folders)
        if isinstance(file, str):
            problems.append(f"{_quoted(image)} {file}")
        else:
            files.append(file)
    names = (image.file_name for image in images)
    problems += [f"{repr(name)[:_SHOWN]} is listed twice" for name in _repeated(names)]
    if problems:
        raise _unusable(
            path,
            problems,
            expected=f"photos in {', '.join(map(str, folders))}",
            next_step="put the photos there, or name their folder with --photos (for verify: "
            "--annotations COCO.json --photos DIR)",
        )
    return files


def _check_sizes(
    path: Path,
    images: tuple[_Image, ...],
    files: list[Path],
    instances: list[tuple[Instance, ...]],
) -> None:
    """Refuse photos whose annotations are of another size."""
    rows = zip(images, files, instances, strict=True)
    found = [(image, misfit(file, _stated_size(image), those)) for image, file, those in rows]
    wrong = [(image, what) for image, what in found if what]
    if wrong:
        raise _unusable(
            path,
            [f"{_quoted(image)} {what.reason}" for image, what in wrong],
            expected="annotations at the size of the upright photo",
            next_step=wrong[0][1].next_step,
        )


def _stated_size(image: _Image) -> Size | None:
    """Width and height of the JSON; None unless both are positive numbers."""
    width, height = _pixels(image.width), _pixels(image.height)
    return (width, height) if width and height else None


def _pixels(value: object) -> int:
    """A side as a number of pixels, which some tools write as text; 0 if it is none."""
    text = id_text(value) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST else 0


def _quoted(image: _Image) -> str:
    return repr(image.file_name)[:_SHOWN]


def _licences(listed: object) -> Iterator[tuple[str, str]]:
    """Ids and texts of the licences; those without an id or a name are passed over."""
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        identity, url = id_text(one.get("id")), one.get("url")
        if identity is not None:
            name = one["name"]
            yield identity, printable(f"{name} ({url})" if isinstance(url, str) else name)


def _licence_of(image: _Image, licences: dict[str, str]) -> str | None:
    """The licence that an image names by its id, or states in words."""
    named = licences.get(id_text(image.license) or "")
    if named or not isinstance(image.license, str) or image.license.isdecimal():
        return named
    return printable(image.license[:_LONGEST_LICENCE]) or None


def _attribution_of(image: _Image) -> str | None:
    sources = (image.flickr_url, image.coco_url)
    return next((printable(one) for one in sources if isinstance(one, str) and one), None)


def _terms(info: object) -> str | None:
    terms = info.get("annotations_licence") if isinstance(info, dict) else None
    return printable(terms) if isinstance(terms, str) and terms else None


def _repeated(names: Iterable[str]) -> Iterator[str]:
    return (name for name, count in Counter(names).items() if count > 1)
