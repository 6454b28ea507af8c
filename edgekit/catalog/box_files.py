"""Boxes from a JSON file: a list of boxes, a detector's results, or annotations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import GenericAlias
from typing import Any

from edgekit.catalog.annotations import id_text, instances_from_coco
from edgekit.catalog.segmentations import Box
from edgekit.errors import BadInput
from edgekit.store import Malformed, record_from_json, utf8_of

_MAX_BYTES = 64 * 2**20
_MAX_DETECTIONS_BYTES = 512 * 2**20  # 100 boxes on each of COCO's 5,000 photos are 50 MB
_FORMS = (
    "a list of boxes [[x0, y0, x1, y1], ...] in photo pixels, COCO results "
    '[{"bbox": [x, y, width, height]}, ...] of one photo, or COCO annotations'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    bbox: tuple[float, float, float, float]
    image_id: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoredResult:
    bbox: tuple[float, float, float, float]
    image_id: object
    score: float
    category_id: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A detector's box: x0, y0, x1, y1 in photo pixels. `category` is COCO's id as text."""

    box: Box
    score: float
    category: str | None


def read_boxes(path: Path, photo: str) -> list[Box]:
    """The boxes x0, y0, x1, y1 of a photo, in the file's order.

    Args:
        path: JSON: [[x0, y0, x1, y1], ...], COCO's results of one photo, or COCO's annotations.
        photo: the photo's file name, as annotations list it. Of a single photo, any name will do.

    Raises:
        BadInput: the file cannot be read, holds something else, or holds the boxes of other photos.
    """
    try:
        text = utf8_of(path, most_bytes=_MAX_BYTES).lstrip()
        if not text.startswith(b"["):
            return _of_photo(path, photo)
        return _results(text) if text[1:].lstrip().startswith(b"{") else _corners(text)
    except Malformed as error:
        raise BadInput(f"{path} holds no boxes: {error}.", expected=_FORMS) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", expected=_FORMS) from error


def read_detections(path: Path) -> dict[str, tuple[Detection, ...]]:
    """A detector's boxes of many photos, by COCO's image id as text.

    Args:
        path: COCO results: [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}].

    Raises:
        BadInput: the file cannot be read or holds something else.
    """
    expected = (
        'COCO results [{"image_id": 1, "category_id": 1, "bbox": [x, y, width, height], '
        '"score": 0.9}, ...]'
    )
    try:
        text = utf8_of(path, most_bytes=_MAX_DETECTIONS_BYTES)
        results = record_from_json(_tuple_of(_ScoredResult), text, unknown_keys="ignore")
        found = [_detection(index, result) for index, result in enumerate(results)]
    except Malformed as error:
        raise BadInput(f"{path} holds no detections: {error}.", expected=expected) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", expected=expected) from error
    by_image: dict[str, list[Detection]] = {}
    for image, detection in found:
        by_image.setdefault(image, []).append(detection)
    return {image: tuple(detections) for image, detections in by_image.items()}


def _detection(index: int, result: _ScoredResult) -> tuple[str, Detection]:
    """The image's id and the detection. `index` is for errors."""
    x, y, width, height = result.bbox
    image = _id(f"{index}.image_id", result.image_id)
    category = (
        None if result.category_id is None else _id(f"{index}.category_id", result.category_id)
    )
    box = (x, y, x + width, y + height)
    return image, Detection(box=box, score=result.score, category=category)


def _id(where: str, value: object) -> str:
    text = id_text(value)
    if text is None:
        raise Malformed((f"{where}: expected a number or text",))
    return text


def _corners(text: bytes) -> list[Box]:
    return list(record_from_json(_tuple_of(Box), text))


def _results(text: bytes) -> list[Box]:
    results = record_from_json(_tuple_of(_Result), text, unknown_keys="ignore")
    photos = {
        None if result.image_id is None else _id(f"{index}.image_id", result.image_id)
        for index, result in enumerate(results)
    }
    if len(photos) > 1:
        raise Malformed((f"the results of {len(photos)} photos, not of one",))
    boxes = [result.bbox for result in results]
    return [(x, y, x + width, y + height) for x, y, width, height in boxes]


def _tuple_of(kind: Any) -> Any:
    return GenericAlias(tuple, (kind, ...))


def _of_photo(path: Path, photo: str) -> list[Box]:
    by_name = instances_from_coco(path)
    names = [name for name in by_name if len(by_name) == 1 or Path(name).name == photo]
    if len(names) != 1:
        raise Malformed((f"{len(by_name)} photos, and {photo} is not one of them",))
    return [instance.box for instance in by_name[names[0]]]
