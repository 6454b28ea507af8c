"""Drive the shipped artifact and the PyTorch reference through the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from edgekit.catalog import Photo, PhotoSet
from edgekit.errors import BadInput
from edgekit.records import (
    NATIVE,
    BoolArray,
    Client,
    ClientContract,
    DetectorContract,
    Execution,
    Gate,
    MaskChoice,
)
from edgekit.runtime import Prediction, Predictor
from edgekit.runtime.photo import load_photo
from edgekit.verification.metrics import iou_table, logit_cosine, mask_iou, max_abs_error
from edgekit.verification.picks import settled
from edgekit.verification.prompts import PromptKind, Trial, subjects_of, trials_of, trials_on
from edgekit.verification.verdict import Evidence, PromptResult, Verdict, judged

OnPhoto = Callable[[int, int], None]

KEPT = 4
"""Prompts whose masks are kept for the picture."""


def verify_predictors(
    candidate: Predictor,
    reference: Predictor,
    photos: PhotoSet,
    *,
    gate: Gate,
    execution: Execution = NATIVE,
    on_photo: OnPhoto | None = None,
) -> Verdict:
    """Compare `candidate` with `reference` on every photo and judge the masks by `gate`.

    Both predictors do their own preprocessing and postprocessing, as a client would. `on_photo` is
    called with (done, total) after each photo. `execution` says how the candidate is run.

    Raises:
        BadInput: there is no photo, or one cannot be read.
    """
    if not photos.photos:
        raise BadInput(
            f"The image set '{photos.name}' has no photo, so nothing can be verified.",
            expected="at least one JPEG or PNG file",
            next_step="leave --photos out to use the bundled photos, or name another folder",
        )
    results: list[PromptResult] = []
    worst: list[Evidence] = []
    for done, photo in enumerate(photos.photos, start=1):
        seen = _photo_evidence(candidate, reference, photo)
        results.extend(evidence.result for evidence in seen)
        worst = sorted(worst + seen, key=lambda evidence: evidence.result.iou)[:KEPT]
        if on_photo:
            on_photo(done, len(photos.photos))
    verdict = judged(results, gate=gate, photos=len(photos.photos), execution=execution)
    return replace(verdict, evidence=tuple(worst))


def _photo_evidence(candidate: Predictor, reference: Predictor, photo: Photo) -> list[Evidence]:
    pixels = load_photo(photo.path)
    height, width = pixels.shape[:2]
    subjects = subjects_of(photo, height=height, width=width)
    candidate.set_image(pixels)
    reference.set_image(pixels)
    seen: list[Evidence] = []
    expected: list[Prediction] = []
    refused = reference.client.refuses
    trials = trials_of(subjects, seed=photo.id, refuses=refused)
    if isinstance(reference.client, DetectorContract):
        trials += trials_on([each.masks[0] for each in reference.everything()])
    for trial in trials:
        expected.append(_decoded(reference, trial, expected))
        found = _decoded(candidate, trial, expected)
        flipped: bool | None = None
        if trial.multimask:
            flipped = bool(np.argmax(found.scores) != np.argmax(expected[-1].scores))
        elif isinstance(reference.client, ClientContract):
            found, flipped = settled(
                reference.client.masks.single,
                found,
                expected[-1],
                ours=partial(_decoded, candidate, trial, expected),
                theirs=partial(_decoded, reference, trial, expected),
            )
        truth = subjects[trial.subject].truth if trial.subject is not None else None
        result = _compared(
            photo.id, trial, truth, found=found, expected=expected[-1], flipped=flipped
        )
        seen.append(_evidence(photo, result, reference.client, found=found, expected=expected[-1]))
    if isinstance(reference.client, DetectorContract):
        seen.append(_everything(photo, candidate, reference))
    return seen


def _decoded(
    predictor: Predictor,
    trial: Trial,
    reference_so_far: Sequence[Prediction],
    choice: MaskChoice | None = None,
) -> Prediction:
    """Run one prompt on the photo that is set; a refinement takes the reference's logits.

    `choice` asks for other masks than the trial.
    """
    mask = None
    if trial.mask_from is not None:
        # A prompt must be finite; a reference that is not has failed on trial `mask_from` already.
        mask = np.nan_to_num(reference_so_far[trial.mask_from].low_res_logits[0])
    # Infinite logits become a verdict (`_finite`); NumPy's warning on the way would only blur it.
    with np.errstate(invalid="ignore", over="ignore"):
        return predictor.predict(
            points=trial.points or None,
            labels=trial.labels or None,
            box=trial.box,
            mask=mask,
            multimask=choice or trial.multimask,
        )


def _compared(
    photo: str,
    trial: Trial,
    truth: BoolArray | None,
    *,
    found: Prediction,
    expected: Prediction,
    flipped: bool | None,
) -> PromptResult:
    finite = _finite(found) and _finite(expected)
    chosen = int(np.argmax(expected.scores))
    logits = found.low_res_logits[chosen], expected.low_res_logits[chosen]
    decoded = finite and logits[0].size > 0
    return PromptResult(
        photo=photo,
        trial=trial,
        # NaN > threshold is false, so that two broken masks are both empty and would agree.
        iou=mask_iou(found.masks[chosen], expected.masks[chosen]) if finite else 0.0,
        finite=finite,
        logit_cosine=logit_cosine(*logits) if decoded else None,
        logit_error=max_abs_error(*logits) if decoded else None,
        chosen=chosen,
        flipped=flipped,
        reference_truth=None if truth is None else mask_iou(expected.masks[chosen], truth),
        candidate_truth=None if truth is None else mask_iou(found.masks[chosen], truth),
    )


def _evidence(
    photo: Photo,
    result: PromptResult,
    client: Client,
    *,
    found: Prediction,
    expected: Prediction,
) -> Evidence:
    chosen = result.chosen
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(found.low_res_logits[chosen] - expected.low_res_logits[chosen])
    return Evidence(
        result=result,
        photo=photo.path,
        client=client,
        reference=expected.masks[chosen],
        candidate=found.masks[chosen],
        logit_difference=difference,
    )


def _everything(photo: Photo, candidate: Predictor, reference: Predictor) -> Evidence:
    """All objects of both sides, each held against the nearest of the other's.

    The IoU is the mean of those, over the reference's objects or the candidate's, whichever is
    less: an object too many counts like one that is missing. What is kept is the worst of the
    reference's objects, and what is nearest to it.
    """
    found, expected = candidate.everything(), reference.everything()
    ious = iou_table((one.masks[0] for one in expected), (one.masks[0] for one in found))
    if ious.size:
        iou = float(min(ious.max(axis=0).mean(), ious.max(axis=1).mean()))
    else:
        iou = float(len(found) == len(expected))
    worst = int(ious.max(axis=1).argmin()) if ious.size else 0
    nearest = int(ious[worst].argmax()) if ious.size else 0
    nothing = np.zeros(reference.photo_size, dtype=np.bool_)
    return Evidence(
        result=PromptResult(
            photo=photo.id,
            trial=Trial(kind=PromptKind.EVERYTHING),
            iou=iou,
            finite=all(map(_finite, [*found, *expected])),
            logit_cosine=None,
            logit_error=None,
            chosen=0,
            flipped=None,
            reference_truth=None,
            candidate_truth=None,
        ),
        photo=photo.path,
        client=reference.client,
        reference=expected[worst].masks[0] if len(expected) else nothing,
        candidate=found[nearest].masks[0] if len(found) else nothing,
        logit_difference=np.empty((0, 0), np.float32),
    )


def _finite(prediction: Prediction) -> bool:
    figures = (prediction.low_res_logits, prediction.scores)
    return all(bool(np.isfinite(figure).all()) for figure in figures)
