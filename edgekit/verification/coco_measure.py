"""Masks as pycocotools' data sets, so that COCO's own code measures them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.records import CocoRle


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A mask with its area in photo pixels.

    A proposal has a score too. `category` is compared for equality only; None is one of its own.
    """

    rle: CocoRle
    area: float
    score: float = 0.0
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRegions:
    """The annotated and the proposed masks of a photo, whose `size` is (height, width)."""

    size: tuple[int, int]
    truth: Sequence[Region]
    proposals: Sequence[Region]


def measured(
    photos: Sequence[PhotoRegions], *, limits: Sequence[int], by_category: bool = False
) -> Any:
    """COCO's evaluation of masks, accumulated: a `pycocotools.cocoeval.COCOeval`.

    Args:
        photos: one or more.
        limits: numbers of masks per photo (and category), by falling score.
        by_category: match masks of one category only.
    """
    from pycocotools.cocoeval import COCOeval

    regions = [region for photo in photos for region in (*photo.truth, *photo.proposals)]
    names = sorted({region.category or "" for region in regions})
    categories = {name: number for number, name in enumerate(names, start=1)}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = _data_set([(photo.size, photo.truth) for photo in photos], categories)
        found = _data_set([(photo.size, photo.proposals) for photo in photos], categories)
        evaluation = COCOeval(truth, found, "segm")
        evaluation.params.useCats = int(by_category)
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _data_set(
    photos: Sequence[tuple[tuple[int, int], Sequence[Region]]], categories: dict[str, int]
) -> Any:
    """Regions as pycocotools' data set. It takes an id of 0 for no match."""
    from pycocotools.coco import COCO

    rows = [(image, region) for image, (_, own) in enumerate(photos, start=1) for region in own]
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": image, "height": height, "width": width}
            for image, ((height, width), _) in enumerate(photos, start=1)
        ],
        "categories": [{"id": number} for number in categories.values()],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": categories[region.category or ""],
                "segmentation": region.rle,
                "area": region.area,
                "score": region.score,
                "iscrowd": 0,
            }
            for number, (image, region) in enumerate(rows, start=1)
        ],
    }
    coco.createIndex()
    return coco
