"""Judging results by a gate, and the verdict as JSON."""

import json

import pytest

from edgekit.records import Execution, Gate
from edgekit.verification import PromptKind, PromptResult, Trial, judge, not_run, to_json

GATE = Gate(mean_iou=0.9, min_iou=0.5)


def result(iou, *, kind=PromptKind.POINT, flipped=None, truth=None) -> PromptResult:
    return PromptResult(
        photo="desk",
        trial=Trial(kind=kind, subject=0),
        iou=iou,
        finite=True,
        logit_cosine=0.99,
        logit_error=0.25,
        chosen=0,
        flipped=flipped,
        reference_truth=truth,
        candidate_truth=truth,
    )


def test_not_run_is_never_a_pass():
    verdict = not_run("TensorRT is not installed", gate=Gate(mean_iou=0, min_iou=0))
    assert not verdict.passed
    assert verdict.how == "not run"
    assert verdict.failures == ("not run: TensorRT is not installed",)


def test_no_prompts_is_never_a_pass():
    assert not judge([], gate=Gate(mean_iou=0, min_iou=0), photos=0).passed


def test_values_equal_to_the_gate_pass():
    results = [result(0.5), *[result(1.0)] * 4]
    assert judge(results, gate=GATE, photos=1).passed
    worse = [result(0.499), *[result(1.0)] * 5]
    assert not judge(worse, gate=GATE, photos=1).passed
    assert not judge([result(0.89)], gate=GATE, photos=1).passed


def test_gate_on_the_fifth_percentile():
    results = [result(0.8), *[result(1.0)] * 9]  # 5th percentile: 0.89
    gate = Gate(mean_iou=0.9, p5_iou=0.95, min_iou=0.5)
    verdict = judge(results, gate=gate, photos=1)
    assert verdict.failures == ("5th percentile 0.89000 is below 0.95",)


def test_figures_per_kind_and_overall():
    results = [result(index / 100) for index in range(101)]
    results += [result(1.0, kind=PromptKind.MULTIMASK, flipped=flip) for flip in (True, False)]
    verdict = judge(
        results, gate=GATE, photos=3, execution=Execution(how="emulated", by="a stand-in")
    )
    point, multimask = verdict.kinds
    assert (point.kind, point.prompts) == (PromptKind.POINT, 101)
    assert (point.mean_iou, point.p5_iou, point.min_iou) == pytest.approx((0.5, 0.05, 0.0))
    assert point.flip_share is None
    assert multimask.flip_share == verdict.overall.flip_share == 0.5
    assert verdict.overall.prompts == 103
    assert verdict.overall.reference_truth is None


def test_the_worst_come_first():
    verdict = judge([result(x) for x in (0.9, 0.2, 0.4)], gate=GATE, photos=1)
    assert [worst.iou for worst in verdict.worst(2)] == [0.2, 0.4]


def test_json_round_trip_keeps_the_figures_and_points_at_the_worst():
    verdict = judge([result(1.0), result(0.2)], gate=GATE, photos=1)
    read = json.loads(json.dumps(to_json(verdict), allow_nan=False))
    assert read["passed"] is False
    assert read["overall"]["min_iou"] == 0.2
    assert read["kinds"][0]["kind"] == "point"
    assert read["results"][read["worst"][0]]["iou"] == 0.2
