"""The fields of a COCO annotation, in every form that tools write them.

COCO has a list of polygons [[x0, y0, x1, y1, ...], ...] or run lengths. Taken too: one polygon
without the list around it, and points in pairs [[x, y], ...]. Both can be read in one way only.
"""

from __future__ import annotations

import math
from itertools import chain

import numpy as np

from edgekit.catalog.photos import Polygons
from edgekit.records import RunLengths
from edgekit.records.run_lengths import counts_of
from edgekit.store import Malformed

Box = tuple[float, float, float, float]
Segmentation = Polygons | RunLengths

_FEWEST_POINTS = 3
_POLYGONS = "segmentation: expected polygons [[x0, y0, x1, y1, ...], ...] or run lengths"
_RUNS = 'segmentation: expected run lengths {"size": [height, width], "counts": ...}'


def read_segmentation(value: object) -> Segmentation | None:
    """Polygons or run lengths; None if there is neither, as for a detector's data.

    Polygons of fewer than three points are dropped: COCO itself has a few, and they cover nothing.

    Raises:
        Malformed: it is something else.
    """
    if value is None or value in ([], {}, [[]]):
        return None
    if isinstance(value, dict):
        return _run_lengths(value)
    if isinstance(value, list):
        polygons = map(_polygon, _parts(value))
        return tuple(p for p in polygons if len(p) >= 2 * _FEWEST_POINTS and len(p) % 2 == 0)
    raise Malformed((_POLYGONS,))


def read_box(value: object) -> Box | None:
    """COCO's x, y, width, height as x0, y0, x1, y1; None if there is no box.

    Raises:
        Malformed: it is not four finite numbers.
    """
    if value is None or value == []:
        return None
    numbers = _numbers(value)
    if numbers is None or len(numbers) != 4:
        raise Malformed(("bbox: expected four numbers: x, y, width, height",))
    x, y, width, height = numbers
    return x, y, x + width, y + height


def read_area(value: object) -> float | None:
    """The area in pixels; None if it is missing or not positive, as where a tool writes 0.

    Raises:
        Malformed: it is not a finite number.
    """
    if value is None:
        return None
    numbers = _numbers([value])
    if numbers is None:
        raise Malformed(("area: expected a number of pixels",))
    return numbers[0] if numbers[0] > 0 else None


def box_around(segmentation: Segmentation) -> Box:
    """The smallest box x0, y0, x1, y1 around a segmentation; empty if the mask is.

    Raises:
        BadInput: the run lengths are damaged.
    """
    if isinstance(segmentation, RunLengths):
        return _box_around_runs(segmentation)
    x = [*chain.from_iterable(polygon[0::2] for polygon in segmentation)]
    y = [*chain.from_iterable(polygon[1::2] for polygon in segmentation)]
    return min(x), min(y), max(x), max(y)


def _box_around_runs(runs: RunLengths) -> Box:
    """Found without decoding the mask: a few bytes can claim any size."""
    height = runs.size[0]
    rows: list[int] = []
    columns: list[int] = []
    end = 0
    for index, count in enumerate(counts_of(runs)):
        start, end = end, end + count
        if index % 2 == 0 or not count:
            continue
        first, last = start // height, (end - 1) // height
        columns += [first, last + 1]
        rows += [start % height, (end - 1) % height + 1] if first == last else [0, height]
    if not rows:
        return 0.0, 0.0, 0.0, 0.0
    return float(min(columns)), float(min(rows)), float(max(columns)), float(max(rows))


def area_of(segmentation: Segmentation | None, box: Box) -> float:
    """The area in pixels: of the mask, or of the box without one. Overlapping parts count twice.

    Raises:
        BadInput: the run lengths are damaged.
    """
    if segmentation is None:
        return (box[2] - box[0]) * (box[3] - box[1])
    if isinstance(segmentation, RunLengths):
        return float(sum(counts_of(segmentation)[1::2]))
    return sum(map(_polygon_area, segmentation))


def _polygon_area(polygon: tuple[float, ...]) -> float:
    x, y = np.asarray(polygon[0::2]), np.asarray(polygon[1::2])
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _run_lengths(value: dict[object, object]) -> RunLengths:
    size, counts = _whole(value.get("size")), value.get("counts")
    if size is None or len(size) != 2 or min(size) < 0:
        raise Malformed((_RUNS,))
    runs = counts if isinstance(counts, str) else _whole(counts)
    if runs is None:
        raise Malformed((_RUNS,))
    return RunLengths(size=(size[0], size[1]), counts=runs)


def _parts(value: list[object]) -> list[object]:
    """The polygons of a list; a single polygon, of numbers or of pairs, may stand for itself."""
    pairs = len(value) >= _FEWEST_POINTS and all(map(_is_pair, value))
    numbers = not any(isinstance(part, list) for part in value)
    return [value] if pairs or numbers else value


def _is_pair(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2 and not isinstance(part[0], list)


def _polygon(part: object) -> tuple[float, ...]:
    if isinstance(part, list) and part and all(map(_is_pair, part)):
        part = [*chain.from_iterable(part)]
    numbers = _numbers(part)
    if numbers is None:
        raise Malformed((_POLYGONS,))
    return numbers


def _whole(values: object) -> tuple[int, ...] | None:
    numbers = _numbers(values)
    if numbers is None or not all(map(float.is_integer, numbers)):
        return None
    return tuple(map(int, numbers))


def _numbers(values: object) -> tuple[float, ...] | None:
    """The finite numbers of a JSON list; None if it is something else."""
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        return None
    try:
        numbers = tuple(map(float, values))
    except OverflowError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
