"""A detector's candidates to objects: boxes after suppression, and masks at the photo's size.

Facts: CASIA-IVA-Lab/FastSAM, `FastSAMPredictor`, and ultralytics' non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, DetectionRule, FloatArray
from edgekit.runtime.preprocess import Placement
from edgekit.runtime.resampling import Band, banded, bilinear, resampled


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """K objects of one photo, best first.

    `boxes` [K, 4] as x0, y0, x1, y1 in photo pixels, `scores` [K] in 0-1, `coefficients` [K, C] of
    the `prototypes` [C, h, w]. `finite` False: some number of the graph's was NaN or infinite.
    """

    boxes: FloatArray
    scores: FloatArray
    coefficients: FloatArray
    prototypes: FloatArray
    place: Placement
    finite: bool = True


def detect(raw: Mapping[str, FloatArray], place: Placement, rule: DetectionRule) -> Detections:
    """The objects among all candidates.

    Args:
        raw: the graph's outputs (see `DetectorContract`).
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
        finite=all(bool(np.isfinite(array).all()) for array in raw.values()),
    )


class Masks(Sequence[BoolArray]):
    """The mask [H, W] of each object, made when asked for: 300 of 12 megapixels are 3.6 GB."""

    def __init__(self, found: Detections) -> None:
        self.found = found
        self._areas: dict[int, int] = {}
        self._cropped = np.ascontiguousarray(_without_padding(found.prototypes, found.place))
        height, width = self._cropped.shape[1:]
        rows, columns = found.place.photo
        self._rows = banded(bilinear(height, rows))
        self._columns = banded(bilinear(width, columns))

    def __len__(self) -> int:
        return len(self.found.scores)

    def area(self, index: int) -> int:
        """Pixels of one mask, counted once."""
        if index not in self._areas:
            self._areas[index] = int(self[index].sum())
        return self._areas[index]

    def __getitem__(self, index: int) -> BoolArray:  # type: ignore[override]
        """Coefficients times prototypes, enlarged, cut to the object's box, above 0."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        height, width = self.found.place.photo
        mask = np.zeros((height, width), dtype=np.bool_)
        x0, y0, x1, y1 = np.ceil(self.found.boxes[index]).astype(int).tolist()
        rows, columns = _within(self._rows, y0, y1), _within(self._columns, x0, x1)
        if rows and columns:
            logits = np.tensordot(self.found.coefficients[index], self._cropped, axes=1)
            top, left = rows[0].rows.start, columns[0].rows.start
            made = resampled(logits, rows, columns)[y0 - top : y1 - top, x0 - left : x1 - left]
            mask[y0:y1, x0:x1] = made > 0
        return mask


def _within(bands: Sequence[Band], start: int, stop: int) -> tuple[Band, ...]:
    """Those that make any of the rows from `start` to before `stop`: most boxes are small."""
    return tuple(band for band in bands if band.rows.start < stop and band.rows.stop > start)


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
    """[C, h, w] of the photo alone."""
    size = prototypes.shape[1:]
    gain = min(s / p for s, p in zip(size, place.photo, strict=True))
    top, left = ((s - p * gain) / 2 for s, p in zip(size, place.photo, strict=True))
    rows, columns = (slice(int(a), int(s - a)) for a, s in ((top, size[0]), (left, size[1])))
    return prototypes[:, rows, columns]
