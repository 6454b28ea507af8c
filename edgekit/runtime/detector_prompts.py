"""Prompts that select among the objects that a detector found. No decoder runs.

Source of the rules: CASIA-IVA-Lab/FastSAM, `FastSAMPrompt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, FloatArray, Segment
from edgekit.runtime.detections import Masks
from edgekit.runtime.mask_choice import Multimask
from edgekit.runtime.prediction import Prediction
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.segments import segment_from

Boxes = npt.NDArray[np.float64]


class DetectorAnswers:
    """Answers to prompts from the objects that a detector found in the photo."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def many(self, prompts: Sequence[Prompt], *, multimask: Multimask) -> Sequence[Prediction]:
        """One mask per prompt. `Prompt.check_supported` has refused any other `multimask`."""
        del multimask
        return ObjectPredictions(
            len(prompts), lambda index: object_mask(self._masks, prompts[index])
        )

    @property
    def boxes(self) -> FloatArray:
        """The boxes [K, 4] of all objects, the best-scored first."""
        return self._masks.detections.boxes

    def everything(self) -> list[Segment]:
        """All objects, the best-scored first."""
        return [self._segment(index) for index in range(len(self._masks))]

    def _segment(self, index: int) -> Segment:
        detections = self._masks.detections
        part, corner = self._masks.part(index)
        x0, y0, x1, y1 = detections.boxes[index].tolist()
        segment = segment_from(
            part,
            float(detections.scores[index]),
            photo_size=detections.place.photo,
            corner=corner,
        )
        return replace(segment, prompt_box=(x0, y0, x1, y1))


class ObjectPredictions(Sequence[Prediction]):
    """Predictions of one mask each. Each mask is computed when its item is read."""

    def __init__(self, count: int, mask_at: Callable[[int], ObjectMask]) -> None:
        self._indices = range(count)
        self._mask_at = mask_at

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> ObjectPredictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | ObjectPredictions:
        indices = self._indices[index]
        if isinstance(indices, range):
            return ObjectPredictions(len(indices), lambda place: self._mask_at(indices[place]))
        mask, score = self._mask_at(indices)
        scores, logits = np.array([score], np.float32), np.empty((1, 0, 0), np.float32)
        return Prediction(mask[None], scores, logits)


class ObjectMask(NamedTuple):
    """The mask that a prompt selects, or that an object has."""

    mask: BoolArray
    """[H, W] at the photo's size."""
    score: float
    """The best score among the objects in the mask; 0 if there are none."""


def object_mask(masks: Masks, prompt: Prompt) -> ObjectMask:
    """The mask that points or a box select (see `DetectorContract`).

    Args:
        masks: of the objects of a photo.
        prompt: inside the photo, with points or a box.

    Returns:
        An empty mask if no object matches. The score is NaN if the graph's outputs were not finite.
    """
    if not masks.detections.finite:
        return ObjectMask(_empty_mask(masks), float("nan"))
    if prompt.box is None:
        return _mask_for_points(masks, prompt)
    return _mask_for_box(masks, prompt.box)


def _empty_mask(masks: Masks) -> BoolArray:
    return np.zeros(masks.detections.place.photo, dtype=np.bool_)


def _mask_for_points(masks: Masks, prompt: Prompt) -> ObjectMask:
    detections = masks.detections
    pixels = np.minimum(prompt.points, np.array(detections.place.photo[::-1]) - 1).astype(np.int64)
    hits = [i for i in range(len(masks)) if _any_inside(detections.boxes[i], pixels)]
    union, score = _empty_mask(masks), 0.0
    for index in sorted(hits, key=masks.area, reverse=True):
        mask = masks[index]
        for (x, y), label in zip(pixels, prompt.labels, strict=True):
            if mask[y, x]:
                union[mask] = bool(label)
                score = max(score, float(detections.scores[index]) if label else 0.0)
    return ObjectMask(union, score)


def _any_inside(box: FloatArray, pixels: npt.NDArray[np.int64]) -> bool:
    """Whether a mask cropped to this box can contain one of the pixels [N, 2]."""
    return bool(((pixels >= box[:2]) & (pixels < box[2:])).all(axis=1).any())


def _mask_for_box(masks: Masks, box: Boxes) -> ObjectMask:
    """The mask with the best IoU with the box; the first of equals, as upstream.

    Masks whose IoU cannot exceed the best so far are not computed.
    """
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    area = max((x1 - x0) * (y1 - y0), 1)
    limits = _most_shared(masks.detections.boxes, (x0, y0, x1, y1)) / area
    best, best_overlap = -1, 0.0
    for index in np.argsort(-limits, kind="stable").tolist():
        if limits[index] < best_overlap:
            break
        shared = int(masks[index][y0:y1, x0:x1].sum())
        overlap = shared / (area + masks.area(index) - shared)
        if best < 0 or (overlap, -index) > (best_overlap, -best):
            best, best_overlap = index, overlap
    if best < 0:
        return ObjectMask(_empty_mask(masks), 0.0)
    return ObjectMask(masks[best], float(masks.detections.scores[best]))


def _most_shared(boxes: FloatArray, box: tuple[int, int, int, int]) -> Boxes:
    """An upper limit [K] on the pixels that masks cropped to `boxes` [K, 4] share with `box`."""
    low = np.maximum(np.floor(boxes[:, :2]), box[:2])
    high = np.minimum(np.ceil(boxes[:, 2:]), box[2:])
    pixels: Boxes = np.clip(high - low, 0, None).prod(axis=1, dtype=np.float64)
    return pixels
