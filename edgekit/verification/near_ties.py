"""Near ties: where two masks are almost equally good, choosing either of them is right.

Some families choose one of several masks by a score or a threshold (the SAM 2 line, EdgeSAM,
TinySAM, EfficientSAM). If the reference was within `TIE_MARGIN` of choosing another mask and the
candidate chose that one, the candidate's version of the reference's choice is compared instead, and
the prompt counts as flipped. Example, SAM 2's rule with threshold 0.98: a stability of 0.98006
becomes 0.97999 in LiteRT's float32. Beyond `TIE_MARGIN`, a different choice costs IoU as usual.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.records import FloatArray, MaskChoice
from edgekit.runtime import Prediction
from edgekit.runtime.mask_choice import mask_indices, stability
from edgekit.verification.metrics import mask_iou

TIE_MARGIN = 1e-3
"""The largest near tie, in predicted IoU or stability, both of which span about 0 to 1."""
SAME_MASK_IOU = 0.99
"""Two masks with at least this IoU count as the same choice."""

Decode = Callable[[MaskChoice], Prediction]


def resolve_near_tie(
    rule: MaskChoice,
    actual: Prediction,
    expected: Prediction,
    *,
    decode_candidate: Decode,
    decode_reference: Decode,
) -> tuple[Prediction, bool | None]:
    """The candidate's prediction to compare, and whether the candidate chose another mask.

    Args:
        rule: the family's rule for choosing one mask.
        actual: the candidate's prediction.
        expected: the reference's prediction.
        decode_candidate: decodes the prompt again with the candidate, returning other masks.
        decode_reference: the same with the reference.

    Returns:
        `actual`, or after a near tie the candidate's mask at the reference's index. The second
        value is None if the rule does not choose.
    """
    options = contenders(rule)
    if not options.masks:
        return actual, None
    if mask_iou(actual.masks[0], expected.masks[0]) >= SAME_MASK_IOU:
        return actual, False
    candidate, reference = decode_candidate(options), decode_reference(options)
    chosen, wanted = _chosen_index(rule, candidate), _chosen_index(rule, reference)
    if chosen == wanted:
        return actual, False
    margin = _margin(rule, reference.low_res_logits, reference.scores, winner=wanted, loser=chosen)
    if not margin <= TIE_MARGIN:  # NaN is not a tie
        return actual, True
    same = slice(wanted, wanted + 1)
    matched = candidate.masks[same], candidate.scores[same], candidate.low_res_logits[same]
    return Prediction(*matched), True


def contenders(rule: MaskChoice) -> MaskChoice:
    """All masks that a rule chooses one from, in the decoder's order, with the rule's scores.

    The mask that it measures is among them. Empty if the rule does not choose.
    """
    stable = rule.unless_stable
    chooses = rule.keep == "best" or stable is not None
    preferred = () if stable is None else (stable.index, stable.measured_index)
    count = 1 + max(*rule.masks, *preferred, 0) if chooses else 0
    return MaskChoice(masks=tuple(range(count)), stability_offset=rule.stability_offset)


def _margin(
    rule: MaskChoice, low_res: FloatArray, scores: FloatArray, *, winner: int, loser: int
) -> float:
    """By how much a rule prefers the mask it chose, in predicted IoU or stability.

    Args:
        rule: the rule.
        low_res: logits [M, side, side] of its `contenders`.
        scores: their scores [M].
        winner: index of the mask that it chose.
        loser: index of the other mask.
    """
    stable = rule.unless_stable
    if stable is not None and stable.index in (winner, loser):
        measured = stability(low_res[stable.measured_index], stable.offset)
        return abs(float(measured) - stable.threshold)
    return float(scores[winner] - scores[loser])


def _chosen_index(rule: MaskChoice, options: Prediction) -> int:
    return int(mask_indices(rule, options.low_res_logits[None], options.scores[None])[0, 0])
