"""What the reference is asked on a photo, whether PyTorch answers or a recording does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Photo
from edgekit.records import BoolArray, DetectorContract, MaskChoice, PhotoClient, Rgb
from edgekit.runtime import Prediction
from edgekit.runtime.mask_choice import Multimask
from edgekit.verification.prompts import Subject, Trial, trials_for_masks, trials_for_subjects


class FoundObject(Protocol):
    """One of the objects that a detector found, as in `records.Segment`."""

    @property
    def mask(self) -> BoolArray:
        """The mask at the photo's size, bool [H, W]."""
        ...

    @property
    def predicted_iou(self) -> float:
        """The detector's score."""
        ...


class Reference(Protocol):
    """Answers prompts on one photo at a time, as `runtime.Predictor` does."""

    @property
    def client(self) -> PhotoClient:
        """The model's rules."""
        ...

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo in pixels."""
        ...

    def set_image(self, photo: Rgb) -> None:
        """The photo that the next prompts refer to, uint8 [H, W, 3]."""
        ...

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: Multimask = False,
    ) -> Prediction:
        """The masks of one prompt."""
        ...

    def everything(self) -> Sequence[FoundObject]:
        """All objects of the photo. Only a detector is asked for them."""
        ...


def trials_on(
    photo: Photo, subjects: tuple[Subject, ...], reference: Reference
) -> tuple[Trial, ...]:
    """The prompts of a photo, which was set. A detector gets some in the masks that it found."""
    trials = trials_for_subjects(subjects, seed=photo.id, refuses=reference.client.refuses)
    if isinstance(reference.client, DetectorContract):
        trials += trials_for_masks([each.mask for each in reference.everything()])
    return trials


def answers_to(trials: Sequence[Trial], reference: Reference) -> tuple[Prediction, ...]:
    """The reference's answers, in the order of the trials."""
    answers: list[Prediction] = []
    for trial in trials:
        answers.append(ask(reference, trial, answers))
    return tuple(answers)


def ask(
    side: Reference,
    trial: Trial,
    reference_answers: Sequence[Prediction],
    choice: MaskChoice | None = None,
) -> Prediction:
    """Give one prompt to one side. A refinement uses the reference's logits as its mask.

    `choice` overrides which masks the trial asks for.
    """
    mask = None
    if trial.mask_from is not None:
        # Prompts must be finite. Logits that are not have already failed trial `mask_from`.
        mask = np.nan_to_num(reference_answers[trial.mask_from].low_res_logits[0])
    # The verdict reports infinite logits, so NumPy need not warn about them too.
    with np.errstate(invalid="ignore", over="ignore"):
        return side.predict(
            points=trial.points or None,
            labels=trial.labels or None,
            box=trial.box,
            mask=mask,
            multimask=choice or trial.multimask,
        )
