"""Comparing a candidate with the reference: IoU, flips, broken numbers and detectors."""

import json

import numpy as np
import pytest

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.models.families.fastsam import CLIENT as FASTSAM
from edgekit.records import Execution, Gate
from edgekit.runtime import Predictor
from edgekit.verification import PromptKind, comparison_picture, to_json, verify_predictors

GATE = Gate(mean_iou=0.999, min_iou=0.99)


@pytest.fixture
def judge(predictor, photos):
    """The verdict on a candidate whose decoder output is changed by the function given."""

    def run(change=None, *, reference_change=None, gate=GATE):
        candidate, reference = predictor(change), predictor(reference_change)
        return verify_predictors(candidate, reference, photos, gate=gate)

    return run


def test_identical_sessions_pass_with_an_iou_of_one(judge):
    verdict = judge()
    assert verdict.passed
    assert verdict.failures == ()
    assert (verdict.overall.mean_iou, verdict.overall.min_iou) == (1.0, 1.0)
    assert verdict.overall.min_logit_cosine == pytest.approx(1.0)
    assert verdict.overall.max_logit_error == 0.0
    assert verdict.overall.flip_share == 0.0
    assert {summary.kind for summary in verdict.kinds} == set(PromptKind) - {PromptKind.EVERYTHING}
    assert verdict.overall.prompts == sum(summary.prompts for summary in verdict.kinds) == 18


def test_smaller_masks_fail_the_gate_and_say_by_how_much(judge):
    verdict = judge(shifted_logits(-5))
    assert not verdict.passed
    assert any("minimum IoU 0." in failure for failure in verdict.failures)
    assert any("mean IoU 0." in failure for failure in verdict.failures)
    assert verdict.overall.max_logit_error == pytest.approx(5, rel=1e-4)
    assert verdict.worst(1)[0].iou == verdict.overall.min_iou < 0.9


def test_the_same_damage_passes_a_gate_that_allows_it(judge):
    assert judge(shifted_logits(-5), gate=Gate(mean_iou=0.3, min_iou=0.2)).passed


def test_one_bad_prompt_fails_the_minimum_though_the_mean_is_fine(judge):
    verdict = judge(only_call(3, shifted_logits(-5)), gate=Gate(mean_iou=0.95, min_iou=0.99))
    assert verdict.overall.mean_iou > 0.95
    assert len(verdict.failures) == 1
    assert verdict.failures[0].startswith("minimum")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tensor", ["low_res_masks", "iou_predictions"])
def test_one_non_finite_number_fails_any_gate(judge, value, tensor):
    verdict = judge(only_call(5, filled(tensor, value)), gate=Gate(mean_iou=0, min_iou=0))
    assert not verdict.passed
    assert any("NaN" in failure for failure in verdict.failures)
    (broken,) = (result for result in verdict.results if not result.finite)
    assert (broken.iou, broken.logit_cosine, broken.logit_error) == (0.0, None, None)


@pytest.mark.parametrize("damaged", [None, 1, 4])
def test_decoders_for_one_prompt_and_for_several_are_both_compared(predictor, photos, damaged):
    def damage(out):
        return shifted_logits(-5)(out) if len(out["low_res_masks"]) == damaged else out

    candidate = predictor(damage, batches=((4, 2),))
    verdict = verify_predictors(candidate, predictor(), photos, gate=GATE)
    assert verdict.passed is (damaged is None)
    wrong = {result.trial.kind for result in verdict.results if result.iou < 0.99}
    several = {PromptKind.POINT, PromptKind.BOX}
    assert (wrong <= several) if damaged == 4 else wrong.isdisjoint(several)


def test_two_nan_sides_do_not_agree(judge):
    broken = filled("low_res_masks", np.nan)
    verdict = judge(broken, reference_change=broken, gate=Gate(mean_iou=0, min_iou=0))
    assert not verdict.passed
    assert verdict.overall.mean_iou == 0.0
    json.dumps(to_json(verdict), allow_nan=False)


def test_nan_reference_passes_nothing(judge):
    broken = filled("low_res_masks", np.nan)
    assert not judge(reference_change=broken, gate=Gate(mean_iou=0, min_iou=0)).passed


def test_empty_against_empty_passes(judge):
    assert judge(shifted_logits(-500), reference_change=shifted_logits(-500)).passed


@pytest.mark.parametrize("gate", [(np.nan, 0.0), (0.0, np.nan)])
def test_a_nan_gate_passes_nothing(judge, gate):
    assert not judge(gate=Gate(mean_iou=gate[0], min_iou=gate[1])).passed


def test_flipped_scores_count_as_flips_without_costing_iou(judge):
    verdict = judge(reversed_scores)
    assert verdict.passed
    assert verdict.overall.flip_share == 1.0
    by_kind = {summary.kind: summary for summary in verdict.kinds}
    assert by_kind[PromptKind.MULTIMASK].flip_share == 1.0
    assert by_kind[PromptKind.POINT].flip_share is None
    assert {result.flipped for result in verdict.results} == {None, True}


def test_multimask_compares_the_references_best_mask(judge):
    # Masks 1 to 3 score 0.9, 0.8 and 0.7, so only damage to mask 1 matters.
    assert judge(shifted_logits(-5, mask=3)).passed
    assert not judge(shifted_logits(-5, mask=1)).passed


def test_refinement_feeds_the_references_logits_to_both_sides(predictor, photos):
    candidate, reference = predictor(shifted_logits(-5)), predictor()
    verify_predictors(candidate, reference, photos, gate=GATE)
    masks = [
        [call["mask_input"] for call in side._decoder.calls if call["has_mask_input"].any()]
        for side in (candidate, reference)
    ]
    assert len(masks[0]) == len(masks[1]) == 2
    for ours, theirs in zip(*masks, strict=True):
        assert ours.any()
        assert np.array_equal(ours, theirs)


def test_both_sides_are_compared_with_the_annotation(judge):
    verdict = judge(shifted_logits(-15))
    annotated = [result for result in verdict.results if result.photo == "annotated"]
    plain = [result for result in verdict.results if result.photo == "plain"]
    assert all(0 < result.reference_truth <= 1 for result in annotated)
    assert any(result.reference_truth != result.candidate_truth for result in annotated)
    assert {result.reference_truth for result in plain} == {None}
    known = [result.candidate_truth for result in annotated]
    assert verdict.overall.candidate_truth == pytest.approx(np.mean(known))


def test_progress_is_reported_after_each_photo(predictor, photos):
    progress = []
    verify_predictors(
        predictor(),
        predictor(),
        photos,
        gate=GATE,
        execution=Execution(how="emulated", reason="a stand-in"),
        on_photo=lambda done, total: progress.append((done, total)),
    )
    assert progress == [(1, 2), (2, 2)]


def test_no_photos_is_an_error_and_not_a_pass(predictor):
    with pytest.raises(BadInput, match="no photo"):
        verify_predictors(predictor(), predictor(), PhotoSet(name="none", photos=()), gate=GATE)


def test_an_unreadable_photo_is_named(predictor, photo):
    broken = photo("broken")
    broken.path.write_text("not a picture")
    with pytest.raises(BadInput, match=r"broken\.png"):
        verify_predictors(predictor(), predictor(), PhotoSet(name="x", photos=(broken,)), gate=GATE)


class FakeDetector:
    """A detector with these objects: boxes as centre and size, in input pixels."""

    def __init__(self, *boxes, prototype=1.0):
        self.boxes, self.prototype = boxes, prototype

    def run(self, _):
        count = len(self.boxes)
        return {
            "boxes": np.array(self.boxes, np.float32).reshape(1, count, 4).transpose(0, 2, 1),
            "scores": np.linspace(0.9, 0.8, count, dtype=np.float32).reshape(1, 1, count),
            "coefficients": np.ones((1, 32, count), np.float32),
            "prototypes": np.full((1, 32, 256, 256), self.prototype, np.float32),
        }


LEFT, RIGHT, NARROW = (256, 512, 512, 700), (768, 512, 512, 700), (128, 512, 256, 700)


@pytest.fixture
def compare(photos):
    def run(candidate, reference):
        sides = (Predictor.from_sessions(FASTSAM, side) for side in (candidate, reference))
        return verify_predictors(*sides, photos, gate=GATE)

    return run


def test_detector_gets_the_prompts_it_supports(compare):
    verdict = compare(FakeDetector(LEFT, RIGHT), FakeDetector(LEFT, RIGHT))
    assert verdict.passed
    assert {summary.kind: summary.prompts for summary in verdict.kinds} == {
        "point": 9,
        "point + negative": 4,
        "box": 5,
        "everything": 2,
    }
    assert verdict.overall.min_logit_cosine is None
    assert verdict.overall.max_logit_error is None
    json.dumps(to_json(verdict), allow_nan=False)
    assert comparison_picture(verdict).width > 0


@pytest.mark.parametrize(
    ("objects", "iou"), [((LEFT,), 0.5), ((LEFT, RIGHT, (512, 512, 8, 8)), 2 / 3), ((), 0.0)]
)
def test_missing_and_extra_objects_both_cost_iou(compare, objects, iou):
    verdict = compare(FakeDetector(*objects), FakeDetector(LEFT, RIGHT))
    everything = next(s for s in verdict.kinds if s.kind is PromptKind.EVERYTHING)
    assert everything.mean_iou == pytest.approx(iou, abs=0.02)
    assert not verdict.passed


def test_smaller_detector_mask_fails(compare):
    verdict = compare(FakeDetector(NARROW, RIGHT), FakeDetector(LEFT, RIGHT))
    everything = next(s for s in verdict.kinds if s.kind is PromptKind.EVERYTHING)
    assert everything.mean_iou == pytest.approx(0.75, abs=0.02)
    assert not verdict.passed


def test_nan_detectors_fail_though_their_masks_agree(compare):
    broken = FakeDetector(LEFT, prototype=np.nan)
    verdict = compare(broken, broken)
    assert not verdict.passed
    assert any("NaN" in failure for failure in verdict.failures)


def shifted_logits(by, *, mask=None):
    def change(out):
        logits = out["low_res_masks"].copy()
        logits[:, slice(None) if mask is None else mask] += np.float32(by)
        return {**out, "low_res_masks": logits}

    return change


def filled(tensor, value):
    def change(out):
        return {**out, tensor: np.full_like(out[tensor], value)}

    return change


def reversed_scores(out):
    return {**out, "iou_predictions": -out["iou_predictions"]}


def only_call(number, change):
    calls = iter(range(10_000))
    return lambda out: change(out) if next(calls) == number else out
