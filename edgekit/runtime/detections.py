"""FastSAM's raw output to objects: boxes after suppression, and masks at the photo's size.

Facts: CASIA-IVA-Lab/FastSAM, `FastSAMPredictor`, and ultralytics' non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, FloatArray
from edgekit.runtime.letterbox import Placement
from edgekit.runtime.resampling import banded, bilinear, resampled


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRule:
    """Upstream's defaults for "everything".

    A candidate counts above `score`; of two whose IoU is above `overlap` the better one stays; at
    most `most` do. Box edges nearer than `snap` input pixels to the border lie on it, and a box
    with an IoU above `whole` with the whole input is taken for that.
    """

    score: float = 0.4
    overlap: float = 0.9
    most: int = 300
    snap: float = 20
    whole: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """K objects of one photo, best first.

    `boxes` [K, 4] as x0, y0, x1, y1 in photo pixels, `scores` [K] in 0-1, `coefficients` [K, 32] of
    the `prototypes` [32, H / 4, W / 4].
    """

    boxes: FloatArray
    scores: FloatArray
    coefficients: FloatArray
    prototypes: FloatArray
    place: Placement


def detect(raw: Mapping[str, FloatArray], place: Placement, rule: DetectionRule) -> Detections:
    """The objects among all candidates.

    Args:
        raw: the graph's outputs: boxes [1, 4, N] (centre, size), scores [1, 1, N], coefficients
            [1, 32, N], prototypes [1, 32, H / 4, W / 4].
        place: where the photo lies in the input.
        rule: what counts.
    """
    scores = raw["scores"][0, 0]
    candidates = np.flatnonzero(scores > rule.score)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    corners = _corners(raw["boxes"][0].T[candidates])
    kept = _suppressed(corners, rule)
    boxes = _settled(corners[kept], place.canvas, rule)
    return Detections(
        boxes=_on_photo(boxes, place),
        scores=scores[candidates[kept]],
        coefficients=raw["coefficients"][0].T[candidates[kept]],
        prototypes=raw["prototypes"][0],
        place=place,
    )


class Masks(Sequence[BoolArray]):
    """The mask [H, W] of each object, made when asked for: 300 of 12 megapixels are 3.6 GB."""

    def __init__(self, found: Detections) -> None:
        self._found = found
        self._cropped = _without_padding(found.prototypes, found.place)
        height, width = self._cropped.shape[1:]
        rows, columns = found.place.photo
        self._rows = banded(bilinear(height, rows))
        self._columns = banded(bilinear(width, columns))

    def __len__(self) -> int:
        return len(self._found.scores)

    def __getitem__(self, index: int) -> BoolArray:  # type: ignore[override]
        """Coefficients times prototypes, enlarged, cut to the object's box, above 0."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        logits = np.tensordot(self._found.coefficients[index], self._cropped, axes=1)
        return (resampled(logits, self._rows, self._columns) > 0) & self._inside(index)

    def _inside(self, index: int) -> BoolArray:
        x0, y0, x1, y1 = self._found.boxes[index]
        height, width = self._found.place.photo
        y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
        inside: BoolArray = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
        return inside


def _corners(boxes: FloatArray) -> FloatArray:
    """Centre and size to corners, [K, 4]."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _suppressed(boxes: FloatArray, rule: DetectionRule) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, given best first."""
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) < rule.most:
        kept.append(int(left[0]))
        overlap = _overlaps(boxes[left[0]], boxes[left[1:]])
        left = left[1:][overlap <= rule.overlap]
    return np.array(kept, dtype=np.int64)


def _overlaps(box: FloatArray, others: FloatArray) -> FloatArray:
    """IoU of one box with each of [K, 4]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlaps: FloatArray = shared / ((box[2:] - box[:2]).prod() + areas - shared)
    return overlaps


def _settled(boxes: FloatArray, canvas: tuple[int, int], rule: DetectionRule) -> FloatArray:
    """Edges near the border moved onto it; boxes of nearly everything made so."""
    frame = np.array([0, 0, canvas[1], canvas[0]], dtype=np.float32)
    low = np.where(boxes[:, :2] < rule.snap, 0, boxes[:, :2])
    high = np.where(boxes[:, 2:] > frame[2:] - rule.snap, frame[2:], boxes[:, 2:])
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    boxes[_overlaps(frame, boxes) > rule.whole] = frame
    return boxes


def _on_photo(boxes: FloatArray, place: Placement) -> FloatArray:
    """Input pixels to photo pixels, limited to the photo."""
    height, width = place.photo
    spare = [(c - p * place.gain) / 2 for c, p in zip(place.canvas, place.photo, strict=True)]
    top, left = (round(side - 0.1) for side in spare)
    moved = (boxes - np.array([left, top, left, top])) / place.gain
    limited: FloatArray = np.clip(moved, 0, [width, height, width, height]).astype(np.float32)
    return limited


def _without_padding(prototypes: FloatArray, place: Placement) -> FloatArray:
    """[32, h, w] of the photo alone."""
    size = prototypes.shape[1:]
    gain = min(s / p for s, p in zip(size, place.photo, strict=True))
    top, left = ((s - p * gain) / 2 for s, p in zip(size, place.photo, strict=True))
    rows, columns = (slice(int(a), int(s - a)) for a, s in ((top, size[0]), (left, size[1])))
    return prototypes[:, rows, columns]
