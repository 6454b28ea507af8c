"""The answer to a prompt."""

from __future__ import annotations

from typing import NamedTuple

from edgekit.records import BoolArray, FloatArray

Size = tuple[int, int]


class Prediction(NamedTuple):
    """The masks of one prompt. Unpacks as SAM's `masks, scores, low_res_logits`."""

    masks: BoolArray
    """[M, H, W] at the photo's size; of a volume [M, D, H, W]."""
    scores: FloatArray
    """[M]: the model's own estimate of each mask's quality. Some families exceed 0-1."""
    low_res_logits: FloatArray
    """[M, side, side], of a volume [M, side, side, side]: any of them can be the `mask` of the next
    prompt. [M, 0, 0] for a detector, which has no decoder."""
