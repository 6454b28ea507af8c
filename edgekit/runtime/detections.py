"""From a detector's candidates to objects: suppressed boxes and masks at the photo's size.

Sources: CASIA-IVA-Lab/FastSAM, `FastSAMPredictor`, and ultralytics' non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.records import BoolArray, DetectionRule, FloatArray
from edgekit.runtime.preprocess import Placement
from edgekit.runtime.resampling import Band, bands_of, bilinear, resample
from edgekit.runtime.suppression import box_ious, suppress_overlaps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """K objects of one photo, best first.

    `boxes` [K, 4] are x0, y0, x1, y1 in photo pixels, `scores` [K] are in 0-1, `coefficients`
    [K, C] weigh the `prototypes` [C, h, w]. `finite` is False if any output of the graph was NaN
    or infinite.
    """

    boxes: FloatArray
    scores: FloatArray
    coefficients: FloatArray
    prototypes: FloatArray
    place: Placement
    finite: bool = True


def find_objects(
    raw: Mapping[str, FloatArray], place: Placement, rule: DetectionRule
) -> Detections:
    """Keep the objects among all candidates.

    Args:
        raw: the graph's outputs (see `DetectorContract`).
        place: where the photo lies in the input.
        rule: thresholds for scores, overlaps and borders.
    """
    scores = raw["scores"][0, 0]
    placed = np.isfinite(raw["boxes"][0]).all(axis=0)
    candidates = np.flatnonzero((scores > rule.score) & placed)
    corners = _corners(raw["boxes"][0].T[candidates])
    kept = suppress_overlaps(corners, scores[candidates], overlap=rule.overlap, most=rule.most)
    boxes = _snap_to_border(corners[kept], place.canvas, rule)
    return Detections(
        boxes=_on_photo(boxes, place),
        scores=scores[candidates[kept]],
        coefficients=raw["coefficients"][0].T[candidates[kept]],
        prototypes=raw["prototypes"][0],
        place=place,
        finite=all(bool(np.isfinite(array).all()) for array in raw.values()),
    )


class Masks(Sequence[BoolArray]):
    """The mask [H, W] of each object, computed when read: 300 of 12 megapixels are 3.6 GB."""

    def __init__(self, detections: Detections) -> None:
        self.detections = detections
        self._areas: dict[int, int] = {}
        self._cropped = np.ascontiguousarray(_crop_padding(detections.prototypes, detections.place))
        height, width = self._cropped.shape[1:]
        rows, columns = detections.place.photo
        self._rows = bands_of(bilinear(height, rows))
        self._columns = bands_of(bilinear(width, columns))

    def __len__(self) -> int:
        return len(self.detections.scores)

    def area(self, index: int) -> int:
        """The number of pixels of one mask; cached."""
        if index not in self._areas:
            self._areas[index] = int(self[index].sum())
        return self._areas[index]

    def __getitem__(self, index: int) -> BoolArray:  # type: ignore[override]
        """Where coefficients times prototypes, enlarged and cropped to the box, exceed 0."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        mask = np.zeros(self.detections.place.photo, dtype=np.bool_)
        part, (top, left) = self.part(index)
        mask[top : top + part.shape[0], left : left + part.shape[1]] = part
        return mask

    def part(self, index: int) -> tuple[BoolArray, tuple[int, int]]:
        """The mask inside its box, bool [h, w], and the box's (top, left). It is empty outside."""
        x0, y0, x1, y1 = np.ceil(self.detections.boxes[index]).astype(int).tolist()
        rows, columns = _bands_within(self._rows, y0, y1), _bands_within(self._columns, x0, x1)
        if not rows or not columns:
            return np.empty((0, 0), dtype=np.bool_), (0, 0)
        logits = np.tensordot(self.detections.coefficients[index], self._cropped, axes=1)
        top, left = rows[0].rows.start, columns[0].rows.start
        enlarged = resample(logits, rows, columns)
        part: BoolArray = enlarged[y0 - top : y1 - top, x0 - left : x1 - left] > 0
        return part, (y0, x0)


def _bands_within(bands: Sequence[Band], start: int, stop: int) -> tuple[Band, ...]:
    """The bands that cover rows `start` to `stop` - 1. Most boxes are small and need few."""
    return tuple(band for band in bands if band.rows.start < stop and band.rows.stop > start)


def _corners(boxes: FloatArray) -> FloatArray:
    """Centre and size to corners, [K, 4]."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _snap_to_border(boxes: FloatArray, canvas: tuple[int, int], rule: DetectionRule) -> FloatArray:
    """Move edges near the border onto it; a box of nearly the whole input becomes all of it."""
    frame = np.array([0, 0, canvas[1], canvas[0]], dtype=np.float32)
    low = np.where(boxes[:, :2] < rule.snap, 0, boxes[:, :2])
    high = np.where(boxes[:, 2:] > frame[2:] - rule.snap, frame[2:], boxes[:, 2:])
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    boxes[box_ious(frame, boxes) > rule.whole] = frame
    return boxes


def _on_photo(boxes: FloatArray, place: Placement) -> FloatArray:
    """From input pixels to photo pixels, clipped to the photo."""
    height, width = place.photo
    spare = [(c - p * place.gain) / 2 for c, p in zip(place.canvas, place.photo, strict=True)]
    top, left = (round(side - 0.1) for side in spare)
    shifted = (boxes - np.array([left, top, left, top])) / place.gain
    clipped: FloatArray = np.clip(shifted, 0, [width, height, width, height]).astype(np.float32)
    return clipped


def _crop_padding(prototypes: FloatArray, place: Placement) -> FloatArray:
    """The part [C, h, w] of the prototypes that covers the photo."""
    size = prototypes.shape[1:]
    gain = min(s / p for s, p in zip(size, place.photo, strict=True))
    top, left = ((s - p * gain) / 2 for s, p in zip(size, place.photo, strict=True))
    rows, columns = (slice(int(a), int(s - a)) for a, s in ((top, size[0]), (left, size[1])))
    return prototypes[:, rows, columns]
