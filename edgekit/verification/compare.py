"""Run the shipped artifact and the PyTorch reference on the same prompts and compare masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from edgekit.catalog import Photo, PhotoSet
from edgekit.errors import BadInput
from edgekit.records import (
    NATIVE,
    ClientContract,
    DetectorContract,
    Execution,
    Gate,
    PhotoClient,
)
from edgekit.runtime import Prediction, Predictor, Prompt
from edgekit.runtime.photo import load_photo
from edgekit.verification.answers import Reference, answers_to, ask, trials_on
from edgekit.verification.metrics import iou_table
from edgekit.verification.near_ties import resolve_near_tie
from edgekit.verification.prompt_result import prompt_result
from edgekit.verification.prompts import PromptKind, Trial, subjects_of
from edgekit.verification.verdict import PromptMasks, PromptResult, Verdict, judge

OnPhoto = Callable[[int, int], None]

PICTURED = 4
"""The number of worst prompts whose masks are kept for the picture."""


def verify_predictors(
    candidate: Predictor,
    reference: Reference,
    photos: PhotoSet,
    *,
    gate: Gate,
    execution: Execution = NATIVE,
    on_photo: OnPhoto | None = None,
) -> Verdict:
    """Compare `candidate` with `reference` on every photo and judge the masks by `gate`.

    Both sides do their own preprocessing and postprocessing, as a client would. `execution`
    says how the candidate runs. `on_photo` is called with (done, total) after each photo.

    Raises:
        BadInput: the set has no photos, or a photo cannot be read.
    """
    if not photos.photos:
        raise BadInput(
            f"The image set '{photos.name}' has no photo, so nothing can be verified.",
            expected="at least one JPEG or PNG file",
            next_step="leave --photos out to use the bundled photos, or name another folder",
        )
    results: list[PromptResult] = []
    worst: list[PromptMasks] = []
    for done, photo in enumerate(photos.photos, start=1):
        compared = _compare_photo(candidate, reference, photo)
        results.extend(pair.result for pair in compared)
        worst = sorted(worst + compared, key=lambda pair: pair.result.iou)[:PICTURED]
        if on_photo:
            on_photo(done, len(photos.photos))
    verdict = judge(results, gate=gate, photos=len(photos.photos), execution=execution)
    return replace(verdict, worst_masks=tuple(worst))


def _compare_photo(candidate: Predictor, reference: Reference, photo: Photo) -> list[PromptMasks]:
    pixels = load_photo(photo.path)
    height, width = pixels.shape[:2]
    subjects = subjects_of(photo, height=height, width=width)
    candidate.set_image(pixels)
    reference.set_image(pixels)
    compared: list[PromptMasks] = []
    trials = trials_on(photo, subjects, reference)
    answers = answers_to(trials, reference)
    batched_predictions = _batched_predictions(candidate, trials)
    for trial, expected, batched in zip(trials, answers, batched_predictions, strict=True):
        actual = ask(candidate, trial, answers) if batched is None else batched
        actual, flipped = _compared_choice(actual, expected, candidate, reference, trial, answers)
        truth = subjects[trial.subject].truth if trial.subject is not None else None
        result = prompt_result(
            photo.id, trial, truth, actual=actual, expected=expected, flipped=flipped
        )
        compared.append(
            _prompt_masks(photo, result, reference.client, actual=actual, expected=expected)
        )
    if isinstance(reference.client, DetectorContract):
        compared.append(_compare_everything(photo, candidate, reference))
    return compared


def _batched_predictions(
    candidate: Predictor, trials: Sequence[Trial]
) -> Iterator[Prediction | None]:
    """For each trial, the prediction by a decoder for several prompts, or None.

    Such a decoder is a file of its own, so it must run too. It gets the trials of one mask that
    refine no other. The decoders for one prompt get the others, and prompts of many points.
    """
    if not candidate.prompt_batches:
        yield from [None] * len(trials)
        return
    together = [trial for trial in trials if trial.mask_from is None and not trial.multimask]
    prompts = [
        Prompt.checked(points=trial.points or None, labels=trial.labels or None, box=trial.box)
        for trial in together
    ]
    with np.errstate(invalid="ignore", over="ignore"):
        predictions = iter(candidate.predict_many(prompts))
    for trial in trials:
        yield next(predictions) if trial in together else None


def _compared_choice(
    actual: Prediction,
    expected: Prediction,
    candidate: Predictor,
    reference: Reference,
    trial: Trial,
    answers: Sequence[Prediction],
) -> tuple[Prediction, bool | None]:
    """The candidate's prediction to compare with the expected, and whether its choice flipped."""
    if trial.multimask:
        return actual, bool(np.argmax(actual.scores) != np.argmax(expected.scores))
    if not isinstance(reference.client, ClientContract):
        return actual, None
    return resolve_near_tie(
        reference.client.masks.single,
        actual,
        expected,
        decode_candidate=partial(ask, candidate, trial, answers),
        decode_reference=partial(ask, reference, trial, answers),
    )


def _prompt_masks(
    photo: Photo,
    result: PromptResult,
    client: PhotoClient,
    *,
    actual: Prediction,
    expected: Prediction,
) -> PromptMasks:
    chosen = result.chosen
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(actual.low_res_logits[chosen] - expected.low_res_logits[chosen])
    return PromptMasks(
        result=result,
        photo=photo.path,
        client=client,
        reference=expected.masks[chosen],
        candidate=actual.masks[chosen],
        logit_difference=difference,
    )


def _compare_everything(photo: Photo, candidate: Predictor, reference: Reference) -> PromptMasks:
    """Compare all objects of both sides, each with the nearest one of the other side.

    The IoU is the mean over the reference's objects or over the candidate's, whichever is lower, so
    an extra object costs as much as a missing one. The masks returned are the reference's
    worst-matched object and the candidate's nearest to it.
    """
    actual, expected = candidate.everything(), reference.everything()
    ious = iou_table((one.mask for one in expected), (one.mask for one in actual))
    if ious.size:
        iou = float(min(ious.max(axis=0).mean(), ious.max(axis=1).mean()))
    else:
        iou = float(len(actual) == len(expected))
    worst = int(ious.max(axis=1).argmin()) if ious.size else 0
    nearest = int(ious[worst].argmax()) if ious.size else 0
    nothing = np.zeros(reference.photo_size, dtype=np.bool_)
    return PromptMasks(
        result=PromptResult(
            photo=photo.id,
            trial=Trial(kind=PromptKind.EVERYTHING),
            iou=iou,
            finite=all(np.isfinite(one.predicted_iou) for one in [*actual, *expected]),
            logit_cosine=None,
            logit_error=None,
            chosen=0,
            flipped=None,
            reference_truth=None,
            candidate_truth=None,
        ),
        photo=photo.path,
        client=reference.client,
        reference=expected[worst].mask if expected else nothing,
        candidate=actual[nearest].mask if actual else nothing,
        logit_difference=np.empty((0, 0), np.float32),
    )
