"""Measures of how closely a candidate segments like the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from edgekit.records import BoolArray, FloatArray

SAMPLED_PIXELS = 2**17
"""The most pixels of a mask that are compared: of a 640 x 480 photo, every 2nd of each axis."""


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union of two masks of the same shape, 0 to 1. Two empty masks give 1."""
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else float(np.count_nonzero(first & second) / union)


def iou_table(first: Iterable[BoolArray], second: Iterable[BoolArray]) -> FloatArray:
    """IoU [K, L] of each of K masks with each of L, all of one size. Two empty masks give 1.

    Only every n-th pixel of both axes is counted, at most `SAMPLED_PIXELS`, because the sets hold
    hundreds of masks. Masks are read one at a time.
    """
    ours, theirs = _sample(first), _sample(second)
    if not (len(ours) and len(theirs)):
        return np.zeros((len(ours), len(theirs)), np.float32)
    shared = ours @ theirs.T
    unions = ours.sum(axis=1)[:, None] + theirs.sum(axis=1)[None] - shared
    ious: FloatArray = np.where(unions > 0, shared / np.maximum(unions, 1), np.float32(1))
    return ious


def _sample(masks: Iterable[BoolArray]) -> FloatArray:
    """The sampled pixels of K masks: [K, pixels] of zeros and ones."""
    rows = []
    for mask in masks:
        step = math.ceil(math.sqrt(mask.size / SAMPLED_PIXELS))
        rows.append(mask[::step, ::step].reshape(-1))
    return np.array(rows, dtype=np.float32)


def logit_cosine(first: FloatArray, second: FloatArray) -> float:
    """Cosine of the angle between two logit maps, -1 to 1. Two all-zero maps give 1.

    Each map is first scaled by its largest magnitude, because squares of 1e20 overflow float32.
    """
    a, b = (_unit_peak(logits) for logits in (first, second))
    # Not `a @ b`: BLAS starts threads for it, which took 15 ms on busy cores.
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
