"""What "segments like the reference" means in numbers."""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray, FloatArray


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union of two masks of one shape, 0 to 1; empty against empty is 1."""
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else float(np.count_nonzero(first & second) / union)


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
