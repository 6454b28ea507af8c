"""The figures of one prompt: a candidate's prediction beside the reference's."""

from __future__ import annotations

import numpy as np

from edgekit.records import BoolArray
from edgekit.runtime import Prediction
from edgekit.verification.metrics import logit_cosine, mask_iou, max_abs_error
from edgekit.verification.prompts import Trial
from edgekit.verification.verdict import PromptResult


def prompt_result(
    photo: str,
    trial: Trial,
    truth: BoolArray | None,
    *,
    actual: Prediction,
    expected: Prediction,
    flipped: bool | None,
) -> PromptResult:
    """Compare the mask that the reference scored best, of whatever number of axes.

    Args:
        photo: the name of what was segmented.
        trial: the prompt.
        truth: the annotated mask, or None.
        actual: the candidate's prediction.
        expected: the reference's.
        flipped: whether the candidate chose another mask; None if there was nothing to choose.
    """
    finite = _finite(actual) and _finite(expected)
    chosen = int(np.argmax(expected.scores))
    logits = actual.low_res_logits[chosen], expected.low_res_logits[chosen]
    decoded = finite and logits[0].size > 0
    return PromptResult(
        photo=photo,
        trial=trial,
        # NaN > threshold is false, so two broken masks would both be empty and agree.
        iou=mask_iou(actual.masks[chosen], expected.masks[chosen]) if finite else 0.0,
        finite=finite,
        logit_cosine=logit_cosine(*logits) if decoded else None,
        logit_error=max_abs_error(*logits) if decoded else None,
        chosen=chosen,
        flipped=flipped,
        reference_truth=None if truth is None else mask_iou(expected.masks[chosen], truth),
        candidate_truth=None if truth is None else mask_iou(actual.masks[chosen], truth),
    )


def _finite(prediction: Prediction) -> bool:
    figures = (prediction.low_res_logits, prediction.scores)
    return all(bool(np.isfinite(figure).all()) for figure in figures)
