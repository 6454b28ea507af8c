"""A near tie counts as a flip and costs no IoU; any other difference of choice costs IoU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.catalog import PhotoSet
from edgekit.records import Gate, MaskChoice, StableMask
from edgekit.runtime import Predictor
from edgekit.runtime.mask_choice import stability
from edgekit.verification import verify_predictors
from edgekit.verification.near_ties import contenders
from tests.verify.conftest import CLIENT, DiscDecoder, FakeEncoder

BEST = MaskChoice(masks=(1, 2, 3), keep="best")
GATE = Gate(mean_iou=0.999, min_iou=0.99)


def scored(*scores: float):
    """Replace the decoder's predicted IoUs."""

    def change(out):
        count = len(out["iou_predictions"])
        return {**out, "iou_predictions": np.tile(np.float32(scores), (count, 1))}

    return change


def shifted(by: float):
    return lambda out: {**out, "low_res_masks": out["low_res_masks"] + np.float32(by)}


@pytest.fixture
def judge(photo):
    """`judge(rule, candidate, reference)`: the verdict on two changes of one decoder."""

    def run(rule: MaskChoice, candidate, reference):
        client = replace(CLIENT, masks=replace(CLIENT.masks, single=rule))
        ours, theirs = (
            Predictor.from_sessions(client, FakeEncoder(), DiscDecoder(change))
            for change in (candidate, reference)
        )
        photos = PhotoSet(name="one", photos=(photo(),))
        return verify_predictors(ours, theirs, photos, gate=GATE)

    return run


def test_nearly_tied_scores_may_swap(judge) -> None:
    verdict = judge(BEST, scored(0, 0.8999, 0.9, 0.1), scored(0, 0.9, 0.8999, 0.1))
    assert verdict.passed
    assert verdict.overall.min_iou == 1
    singles = [result for result in verdict.results if not result.trial.multimask]
    assert all(result.flipped for result in singles)


def test_other_scores_may_not_swap(judge) -> None:
    verdict = judge(BEST, scored(0, 0.89, 0.9, 0.1), scored(0, 0.9, 0.89, 0.1))
    assert not verdict.passed
    assert verdict.overall.min_iou < 0.9


def test_near_tie_does_not_excuse_a_damaged_mask(judge) -> None:
    def damaged(out):
        return shifted(-5)(scored(0, 0.8999, 0.9, 0.1)(out))

    verdict = judge(BEST, damaged, scored(0, 0.9, 0.8999, 0.1))
    assert not verdict.passed


@pytest.mark.parametrize(("beyond", "passes"), [(1e-6, True), (0.02, False)])
def test_stability_near_the_threshold(judge, beyond: float, passes: bool) -> None:
    """The reference's mask 0 is just stable enough, the candidate's is not."""
    logits = (40 - np.hypot(*np.mgrid[-128:128, -128:128])).astype(np.float32)
    threshold = float(stability(logits, 5)) - beyond
    rule = replace(BEST, unless_stable=StableMask(index=0, offset=5, threshold=threshold))

    def centred(out):
        masks = out["low_res_masks"].copy()
        masks[:, 0] = logits
        return {**out, "low_res_masks": masks}

    def less_stable(out):
        masks = centred(out)["low_res_masks"]
        masks[:, 0] /= 2  # the same mask
        return {**out, "low_res_masks": masks}

    verdict = judge(rule, less_stable, centred)
    singles = [result for result in verdict.results if not result.trial.multimask]
    assert all(result.flipped for result in singles)
    assert verdict.passed is passes


def test_non_finite_scores_are_not_a_tie(judge) -> None:
    broken = scored(0, np.nan, 0.9, 0.1)
    assert not judge(BEST, broken, scored(0, 0.9, 0.8999, 0.1)).passed


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (MaskChoice(masks=(0,)), 0),
        (MaskChoice(masks=(1, 2, 3)), 0),
        (BEST, 4),
        (MaskChoice(masks=(0,), unless_stable=StableMask(index=2, offset=1, threshold=0)), 3),
        (replace(BEST, unless_stable=StableMask(index=0, offset=1, threshold=0, measured=5)), 6),
    ],
)
def test_contenders_are_all_masks_the_rule_can_choose(rule: MaskChoice, count: int) -> None:
    assert contenders(rule).masks == tuple(range(count))
