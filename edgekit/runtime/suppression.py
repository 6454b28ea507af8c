"""Non-maximum suppression: of boxes that overlap, only the best stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.records import FloatArray

Indices = npt.NDArray[np.int64]


def suppress_overlaps(
    boxes: FloatArray, scores: FloatArray, *, overlap: float, most: int | None = None
) -> Indices:
    """The indices of the boxes to keep, the best-scored first. Of equals, the first is better.

    As torchvision's `nms`: greedy, in float32.

    Args:
        boxes: [K, 4] as x0, y0, x1, y1.
        scores: [K].
        overlap: a box goes if its IoU with a better one that stays is above this.
        most: how many to keep at most; None for all.
    """
    kept: list[int] = []
    remaining = np.argsort(-scores, kind="stable")
    while len(remaining) and (most is None or len(kept) < most):
        kept.append(int(remaining[0]))
        shared = box_ious(boxes[remaining[0]], boxes[remaining[1:]])
        remaining = remaining[1:][~(shared > overlap)]
    return np.array(kept, dtype=np.int64)


def box_ious(box: FloatArray, others: FloatArray) -> FloatArray:
    """IoU [K] of one box with each of [K, 4]; 0 for two boxes without area."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    joined = (box[2:] - box[:2]).prod() + areas - shared
    ious: FloatArray = np.divide(shared, joined, out=np.zeros_like(shared), where=joined > 0)
    return ious
