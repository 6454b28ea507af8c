"""Choose which of the decoder's masks to return, by the family's rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import FloatArray, MaskChoice, MaskRule, StableMask

Indices = npt.NDArray[np.int64]
Multimask = bool | str | MaskChoice
"""False: one mask. True: several. A name: one of the family's own sets of masks. Or any rule."""


def choice_for(rule: MaskRule, multimask: Multimask) -> MaskChoice:
    """The choice that a `multimask` argument stands for.

    Raises:
        BadInput: the family has no set of masks of that name.
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


def choose_masks(
    choice: MaskChoice, low_res: FloatArray, predicted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The masks to return, and their scores.

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
    indices = mask_indices(choice, low_res, scores)
    rows = np.arange(len(low_res))[:, None]
    # Indexing with arrays copies, so the memory of the other masks can be freed.
    return low_res[rows, indices], scores[rows, indices]


def mask_indices(choice: MaskChoice, low_res: FloatArray, scores: FloatArray) -> Indices:
    """Indices [B, K] of the chosen masks among the decoder's M."""
    candidates = np.array(choice.masks)
    indices = np.tile(candidates, (len(low_res), 1))
    if choice.keep == "best":
        indices = candidates[scores[:, candidates].argmax(axis=1)][:, None]
    if choice.unless_stable is not None:
        stable = _is_stable(choice.unless_stable, low_res)[:, None]
        indices = np.where(stable, choice.unless_stable.index, indices)
    return indices


def stability(low_res: FloatArray, offset: float) -> FloatArray:
    """Area above `offset` divided by area above `-offset`; 1 where both are 0.

    Logits [..., h, w] give [...].
    """
    inner = (low_res > offset).sum(axis=(-2, -1), dtype=np.float32)
    outer = (low_res > -offset).sum(axis=(-2, -1), dtype=np.float32)
    ratio: FloatArray = np.where(outer > 0, inner / np.maximum(outer, 1), np.float32(1))
    return ratio


def _is_stable(rule: StableMask, low_res: FloatArray) -> npt.NDArray[np.bool_]:
    """[B]: whether each prompt's measured mask reaches the rule's threshold."""
    measured = stability(low_res[:, rule.measured_index], rule.offset)
    stable: npt.NDArray[np.bool_] = measured >= rule.threshold
    return stable
