"""Which of several masks a rule picks: where that hangs by a thread, it is no difference.

Families that answer with one of several masks (SAM 2's line, EdgeSAM, TinySAM, EfficientSAM) pick
by a score or a threshold. Where the reference is within `TIE` of picking another mask, a candidate
that does pick it is as right; it is then held against the mask that the reference picked, and
counted as a flip. Seen with SAM 2's rule: a stability of 0.98006, threshold 0.98, rounds to 0.97999
in LiteRT's float32. A pick that changes where the lead was larger is a difference like any other.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.records import FloatArray, MaskChoice
from edgekit.runtime import Prediction
from edgekit.runtime.choice import chosen_indices, stability
from edgekit.verification.metrics import mask_iou

TIE = 1e-3
"""Of predicted IoU or stability: a thousandth of what they span."""
ALIKE = 0.99
"""IoU of two masks from which on it does not matter how they were picked."""

Decode = Callable[[MaskChoice], Prediction]


def settled(
    rule: MaskChoice, found: Prediction, expected: Prediction, *, ours: Decode, theirs: Decode
) -> tuple[Prediction, bool | None]:
    """The candidate's prediction to compare, and whether it picked another mask.

    Args:
        rule: by which both picked.
        found: the candidate's mask.
        expected: the reference's mask.
        ours: decodes the prompt again with the candidate, for other masks.
        theirs: the same with the reference.

    Returns:
        `found`, or after a tie the candidate's mask of the reference's pick; None where the rule
        does not pick.
    """
    every = contenders(rule)
    if not every.masks:
        return found, None
    if mask_iou(found.masks[0], expected.masks[0]) >= ALIKE:
        return found, False
    candidate, reference = ours(every), theirs(every)
    mine, wanted = _picked(rule, candidate), _picked(rule, reference)
    if mine == wanted:
        return found, False
    ahead = _lead(rule, reference.low_res_logits, reference.scores, of=wanted, over=mine)
    if not ahead <= TIE:  # a NaN is no tie
        return found, True
    again = slice(wanted, wanted + 1)
    tied = candidate.masks[again], candidate.scores[again], candidate.low_res_logits[again]
    return Prediction(*tied), True


def contenders(choice: MaskChoice) -> MaskChoice:
    """All masks among which a rule picks one, scored as it scores them: place = decoder's index.

    None where the rule does not pick.
    """
    picks = choice.keep == "best" or choice.unless_stable is not None
    preferred = () if choice.unless_stable is None else (choice.unless_stable.index,)
    count = 1 + max(*choice.masks, *preferred, 0) if picks else 0
    return MaskChoice(masks=tuple(range(count)), stability_offset=choice.stability_offset)


def _lead(
    choice: MaskChoice, low_res: FloatArray, scores: FloatArray, *, of: int, over: int
) -> float:
    """By how much a rule prefers the mask it picked to another one, in its own measure.

    That is predicted IoU or stability: both 0 to 1, as a rule.

    Args:
        choice: the rule.
        low_res: logits of its `contenders` [M, side, side].
        scores: theirs [M].
        of: the index that it picked.
        over: the other index.
    """
    stable = choice.unless_stable
    if stable is not None and stable.index in (of, over):
        return abs(float(stability(low_res[stable.index], stable.offset)) - stable.threshold)
    return float(scores[of] - scores[over])


def _picked(rule: MaskChoice, every: Prediction) -> int:
    return int(chosen_indices(rule, every.low_res_logits[None], every.scores[None])[0, 0])
