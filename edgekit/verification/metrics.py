"""What "segments like the reference" means in numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from edgekit.records import BoolArray, FloatArray

SAMPLED = 2**17
"""Pixels that sets of masks are compared on: of a 640 x 480 photo a quarter."""


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union of two masks of one shape, 0 to 1; empty against empty is 1."""
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else float(np.count_nonzero(first & second) / union)


def iou_table(first: Iterable[BoolArray], second: Iterable[BoolArray]) -> FloatArray:
    """IoU [K, L] of each of K masks with each of L, all of one size; empty against empty is 1.

    Counted on every n-th pixel of both axes, so that at most `SAMPLED` are: sets of hundreds of
    masks are compared. Masks are taken one at a time.
    """
    ours, theirs = _sampled(first), _sampled(second)
    if not (len(ours) and len(theirs)):
        return np.zeros((len(ours), len(theirs)), np.float32)
    shared = ours @ theirs.T
    unions = ours.sum(axis=1)[:, None] + theirs.sum(axis=1)[None] - shared
    ious: FloatArray = np.where(unions > 0, shared / np.maximum(unions, 1), np.float32(1))
    return ious


def _sampled(masks: Iterable[BoolArray]) -> FloatArray:
    """[K, pixels] of zeros and ones."""
    rows = []
    for mask in masks:
        step = math.ceil(math.sqrt(mask.size / SAMPLED))
        rows.append(mask[::step, ::step].reshape(-1))
    return np.array(rows, dtype=np.float32)


def logit_cosine(first: FloatArray, second: FloatArray) -> float:
    """Cosine of the angle between two logit maps, -1 to 1; two all-zero maps count as 1.

    Each map is scaled by its largest magnitude first: float32 logits of 1e20 overflow when squared.
    """
    a, b = (_unit_peak(logits) for logits in (first, second))
    # Sums, not `a @ b`: BLAS starts its threads for it and took 15 ms where the cores were busy.
    norms = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    if norms == 0.0:
        return 1.0 if not (a.any() or b.any()) else 0.0
    return float(np.clip(np.sum(a * b) / norms, -1.0, 1.0))


def max_abs_error(first: FloatArray, second: FloatArray) -> float:
    """Largest absolute difference between two logit maps, in logits."""
    return float(np.max(np.abs(np.subtract(first, second, dtype=np.float64)), initial=0.0))


def _unit_peak(logits: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    flat = logits.reshape(-1).astype(np.float64)
    peak = np.max(np.abs(flat), initial=0.0)
    return flat / peak if peak > 0 else flat
