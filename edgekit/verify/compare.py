"""Drive the shipped artifact and the PyTorch reference through the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgekit.catalog import Photo, PhotoSet
from edgekit.errors import BadInput
from edgekit.records import BoolArray, Gate, Rgb
from edgekit.runtime import Prediction, Predictor
from edgekit.runtime.photo import load_photo
from edgekit.verify.metrics import logit_cosine, mask_iou, max_abs_error
from edgekit.verify.prompts import Subject, Trial, subjects_of, trials_of
from edgekit.verify.verdict import How, PromptResult, Verdict, judged

OnPhoto = Callable[[int, int], None]


def verify(
    candidate: Predictor,
    reference: Predictor,
    photos: PhotoSet,
    *,
    gate: Gate,
    how: How,
    on_photo: OnPhoto | None = None,
) -> Verdict:
    """Compare `candidate` with `reference` on every photo and judge the masks by `gate`.

    Both predictors do their own preprocessing and postprocessing, as a client would. `on_photo` is
    called with (done, total) after each photo.

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
    for done, photo in enumerate(photos.photos, start=1):
        results.extend(_photo_results(candidate, reference, photo))
        if on_photo:
            on_photo(done, len(photos.photos))
    return judged(results, gate=gate, how=how, photos=len(photos.photos))


def photo_trials(photo: Photo, pixels: Rgb) -> tuple[tuple[Subject, ...], tuple[Trial, ...]]:
    """The subjects of a photo and the prompts made from them: the same at every call."""
    height, width = pixels.shape[:2]
    subjects = subjects_of(photo, height=height, width=width)
    return subjects, trials_of(subjects, seed=str(photo.id))


def decode(
    predictor: Predictor, trial: Trial, *, reference_so_far: Sequence[Prediction]
) -> Prediction:
    """Run one prompt on the photo that is set; a refinement takes the reference's logits."""
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
            multimask=trial.multimask,
        )


def _photo_results(candidate: Predictor, reference: Predictor, photo: Photo) -> list[PromptResult]:
    pixels = load_photo(photo.path)
    subjects, trials = photo_trials(photo, pixels)
    candidate.set_image(pixels)
    reference.set_image(pixels)
    results: list[PromptResult] = []
    expected: list[Prediction] = []
    for index, trial in enumerate(trials):
        expected.append(decode(reference, trial, reference_so_far=expected))
        found = decode(candidate, trial, reference_so_far=expected)
        truth = subjects[trial.subject].truth
        result = _compared(found, expected[-1], trial=trial, truth=truth)
        results.append(replace(result, photo=str(photo.id), index=index))
    return results


def _compared(
    found: Prediction, expected: Prediction, *, trial: Trial, truth: BoolArray | None
) -> PromptResult:
    """One prompt's figures, before the photo it belongs to is written in."""
    finite = all(_finite(prediction) for prediction in (found, expected))
    chosen = int(np.argmax(expected.scores))
    logits = found.low_res_logits[chosen], expected.low_res_logits[chosen]
    return PromptResult(
        photo="",
        index=0,
        trial=trial,
        # NaN > threshold is false, so that two broken masks are both empty and would agree.
        iou=mask_iou(found.masks[chosen], expected.masks[chosen]) if finite else 0.0,
        finite=finite,
        logit_cosine=logit_cosine(*logits) if finite else None,
        logit_error=max_abs_error(*logits) if finite else None,
        chosen=chosen,
        flipped=int(np.argmax(found.scores)) != chosen if trial.multimask else None,
        reference_truth=None if truth is None else mask_iou(expected.masks[chosen], truth),
        candidate_truth=None if truth is None else mask_iou(found.masks[chosen], truth),
    )


def _finite(prediction: Prediction) -> bool:
    figures = (prediction.low_res_logits, prediction.scores)
    return all(bool(np.isfinite(figure).all()) for figure in figures)
