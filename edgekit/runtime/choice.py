"""Which of the decoder's masks answer a prompt, by the family's rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import FloatArray, MaskChoice, MaskRule, StableMask

Indices = npt.NDArray[np.int64]
Asked = bool | str | MaskChoice
"""One mask (False), several (True), one of the family's own sets by name, or any other choice."""


def choice_of(rule: MaskRule, multimask: Asked) -> MaskChoice:
    """The rule by which a family's masks answer what was asked.

    Raises:
        BadInput: the family knows no such name.
    """
    if isinstance(multimask, MaskChoice):
        return multimask
    if isinstance(multimask, bool):
        return rule.multimask if multimask else rule.single
    named = {choice.name: choice for choice in rule.others}
    if multimask not in named:
        raise BadInput(
            f"This model has no set of masks named {multimask!r}.",
            expected=", ".join(["True", "False", *map(repr, named)]),
        )
    return named[multimask]


def chosen(
    choice: MaskChoice, low_res: FloatArray, predicted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The masks that a rule returns, and their scores.

    Args:
        choice: the rule.
        low_res: `low_res_masks` [B, M, side, side].
        predicted: `iou_predictions` [B, M].

    Returns:
        Logits [B, K, side, side] and scores [B, K], copies.
    """
    scores = predicted
    if choice.stability_offset is not None:
        scores = stability(low_res, choice.stability_offset)
    indices = chosen_indices(choice, low_res, scores)
    rows = np.arange(len(low_res))[:, None]
    # Indexing with arrays copies, so that the masks nobody asked for are let go.
    return low_res[rows, indices], scores[rows, indices]


def chosen_indices(choice: MaskChoice, low_res: FloatArray, scores: FloatArray) -> Indices:
    """Indices [B, K] into the decoder's masks."""
    candidates = np.array(choice.masks)
    indices = np.tile(candidates, (len(low_res), 1))
    if choice.keep == "best":
        indices = candidates[scores[:, candidates].argmax(axis=1)][:, None]
    if choice.unless_stable is not None:
        stable = _is_stable(choice.unless_stable, low_res)[:, None]
        indices = np.where(stable, choice.unless_stable.index, indices)
    return indices


def stability(low_res: FloatArray, offset: float) -> FloatArray:
    """Area above `offset` over area above `-offset`, 1 for 0 over 0: [..., h, w] -> [...]."""
    inner = (low_res > offset).sum(axis=(-2, -1), dtype=np.float32)
    outer = (low_res > -offset).sum(axis=(-2, -1), dtype=np.float32)
    ratio: FloatArray = np.where(outer > 0, inner / np.maximum(outer, 1), np.float32(1))
    return ratio


def _is_stable(rule: StableMask, low_res: FloatArray) -> npt.NDArray[np.bool_]:
    """[B]: whether the preferred mask of each prompt is good enough."""
    found: npt.NDArray[np.bool_] = stability(low_res[:, rule.index], rule.offset) >= rule.threshold
    return found
