"""Run the shipped artifact and the PyTorch reference on the same volumes and compare voxels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.catalog.volumes import SeededVolume, seeded_volume
from edgekit.records import NATIVE, Execution, Gate, Label
from edgekit.runtime import Prediction
from edgekit.runtime.volume_predictor import VolumePredictor
from edgekit.verification.prompt_result import prompt_result
from edgekit.verification.prompts import PromptKind, Trial
from edgekit.verification.verdict import PromptResult, Verdict, judge

SEEDS = (0, 1, 2)
"""The seeds of the volumes that a bundle is verified with."""

OnVolume = Callable[[int, int], None]


def verify_volumes(
    candidate: VolumePredictor,
    reference: VolumePredictor,
    *,
    gate: Gate,
    execution: Execution = NATIVE,
    on_volume: OnVolume | None = None,
) -> Verdict:
    """Compare `candidate` with `reference` on seeded volumes and judge the masks by `gate`.

    The IoU of two masks is that of their voxels, at the volume's resolution. `execution` says how
    the candidate runs. `on_volume` is called with (done, total) after each volume.
    """
    results: list[PromptResult] = []
    for done, seed in enumerate(SEEDS, start=1):
        volume = seeded_volume(seed, reference.client.preprocessing.frame)
        results.extend(_compare_volume(candidate, reference, volume))
        if on_volume:
            on_volume(done, len(SEEDS))
    return judge(results, gate=gate, photos=len(SEEDS), execution=execution, sample="volume")


def trials_for_volume(volume: SeededVolume) -> tuple[Trial, ...]:
    """Every kind of prompt that a volume takes, in the middle of its three largest ellipsoids."""
    first, second, third = volume.centres[:3]
    inside, outside = Label.FOREGROUND, Label.BACKGROUND
    return (
        Trial(kind=PromptKind.POINT, points=(first,), labels=(inside,)),
        Trial(kind=PromptKind.POINT, points=(second,), labels=(inside,)),
        Trial(kind=PromptKind.POINT_WITH_NEGATIVE, points=(first, third), labels=(inside, outside)),
        Trial(kind=PromptKind.REFINEMENT, points=(third,), labels=(inside,), mask_from=0),
        Trial(kind=PromptKind.MULTIMASK, points=(second,), labels=(inside,)),
    )


def _compare_volume(
    candidate: VolumePredictor, reference: VolumePredictor, volume: SeededVolume
) -> list[PromptResult]:
    candidate.set_volume(volume.voxels)
    reference.set_volume(volume.voxels)
    results: list[PromptResult] = []
    expected: list[Prediction] = []
    for trial in trials_for_volume(volume):
        expected.append(_predict(reference, trial, expected))
        actual = _predict(candidate, trial, expected)
        flipped = _best(actual) != _best(expected[-1]) if trial.multimask else None
        results.append(
            prompt_result(
                volume.id, trial, None, actual=actual, expected=expected[-1], flipped=flipped
            )
        )
    return results


def _predict(
    predictor: VolumePredictor, trial: Trial, reference_so_far: Sequence[Prediction]
) -> Prediction:
    """Run one prompt. A refinement goes on from the reference's logits on both sides."""
    mask = None
    if trial.mask_from is not None:
        # Prompts must be finite. Logits that are not have already failed trial `mask_from`.
        mask = np.nan_to_num(reference_so_far[trial.mask_from].low_res_logits[0])
    with np.errstate(invalid="ignore", over="ignore"):
        return predictor.predict(trial.points, trial.labels, mask=mask, multimask=trial.multimask)


def _best(prediction: Prediction) -> int:
    return int(np.argmax(prediction.scores))
