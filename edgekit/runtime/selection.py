"""Prompts that choose among the objects a detector found, instead of being decoded.

Facts: CASIA-IVA-Lab/FastSAM, `FastSAMPrompt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, FloatArray
from edgekit.runtime.choice import Asked
from edgekit.runtime.detections import Masks
from edgekit.runtime.prediction import Prediction
from edgekit.runtime.prompts import Prompt

Boxes = npt.NDArray[np.float64]


class Choosing:
    """`Answers` by what was found in the photo."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def many(self, prompts: Sequence[Prompt], *, multimask: Asked) -> Sequence[Prediction]:
        """One mask per prompt, which the contract has seen to."""
        del multimask
        return Chosen(len(prompts), lambda index: select(self._masks, prompts[index]))

    def everything(self) -> Sequence[Prediction]:
        """All objects, the best-scored first."""
        scores = self._masks.found.scores.tolist()
        return Chosen(len(scores), lambda index: Selection(self._masks[index], scores[index]))


class Chosen(Sequence[Prediction]):
    """Predictions of one mask each, made when they are taken."""

    def __init__(self, count: int, selection: Callable[[int], Selection]) -> None:
        self._indices = range(count)
        self._selection = selection

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Chosen: ...
    def __getitem__(self, index: int | slice) -> Prediction | Chosen:
        picked = self._indices[index]
        if isinstance(picked, range):
            return Chosen(len(picked), lambda place: self._selection(picked[place]))
        mask, score = self._selection(picked)
        scores, logits = np.array([score], np.float32), np.empty((1, 0, 0), np.float32)
        return Prediction(mask[None], scores, logits)


class Selection(NamedTuple):
    """What a prompt chose."""

    mask: BoolArray
    """[H, W] at the photo's size."""
    score: float
    """The best score among the objects that it is made of; 0 if there is none."""


def select(masks: Masks, prompt: Prompt) -> Selection:
    """The objects that points or a box mean (see `DetectorContract`).

    Args:
        masks: of the objects of a photo.
        prompt: inside the photo, with points or a box.

    Returns:
        An empty mask where there is no such object; a score of NaN where the graph gave such.
    """
    if not masks.found.finite:
        return Selection(_nothing(masks), float("nan"))
    return _pointed_at(masks, prompt) if prompt.box is None else _boxed(masks, prompt.box)


def _nothing(masks: Masks) -> BoolArray:
    return np.zeros(masks.found.place.photo, dtype=np.bool_)


def _pointed_at(masks: Masks, prompt: Prompt) -> Selection:
    found = masks.found
    pixels = np.minimum(prompt.points, np.array(found.place.photo[::-1]) - 1).astype(np.int64)
    hit = [i for i in range(len(masks)) if _any_inside(found.boxes[i], pixels)]
    union, score = _nothing(masks), 0.0
    for index in sorted(hit, key=masks.area, reverse=True):
        mask = masks[index]
        for (x, y), label in zip(pixels, prompt.labels, strict=True):
            if mask[y, x]:
                union[mask] = bool(label)
                score = max(score, float(found.scores[index]) if label else 0.0)
    return Selection(union, score)


def _any_inside(box: FloatArray, pixels: npt.NDArray[np.int64]) -> bool:
    """Whether a mask that is cut to this box can hold one of the pixels [N, 2]."""
    return bool(((pixels >= box[:2]) & (pixels < box[2:])).all(axis=1).any())


def _boxed(masks: Masks, box: Boxes) -> Selection:
    """Of equally good masks the first, as upstream; those that cannot be better are not made."""
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    area = max((x1 - x0) * (y1 - y0), 1)
    limits = _most_shared(masks.found.boxes, (x0, y0, x1, y1)) / area
    best, best_overlap = -1, 0.0
    for index in np.argsort(-limits, kind="stable").tolist():
        if limits[index] < best_overlap:
            break
        shared = int(masks[index][y0:y1, x0:x1].sum())
        overlap = shared / (area + masks.area(index) - shared)
        if best < 0 or (overlap, -index) > (best_overlap, -best):
            best, best_overlap = index, overlap
    if best < 0:
        return Selection(_nothing(masks), 0.0)
    return Selection(masks[best], float(masks.found.scores[best]))


def _most_shared(boxes: FloatArray, box: tuple[int, int, int, int]) -> Boxes:
    """Pixels [K] that masks which are cut to `boxes` [K, 4] can share with a box at most."""
    low = np.maximum(np.floor(boxes[:, :2]), box[:2])
    high = np.minimum(np.ceil(boxes[:, 2:]), box[2:])
    pixels: Boxes = np.clip(high - low, 0, None).prod(axis=1, dtype=np.float64)
    return pixels
