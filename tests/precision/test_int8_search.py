"""The search for blocks that INT8 breaks."""

from __future__ import annotations

import pytest

from edgekit.errors import GraphRejected
from edgekit.precision.decide.int8_search import FloatNodes, return_blocks_to_float
from edgekit.records import Gate, NodePlan, PartPlan, Precision, Role
from edgekit.verification import Summary, Verdict


def line(node: str, block: str, macs: int, precision: Precision = Precision.INT8) -> NodePlan:
    return NodePlan(node=node, operator="conv2d", block=block, macs=macs, precision=precision)


PART = PartPlan(
    role=Role.ENCODER,
    nodes=(
        line("a", "first", 100),
        line("b", "second", 100),
        line("c", "second", 100),
        line("d", "third", 10),
        line("e", "head", 10, Precision.FP32),
    ),
)


def judge_by(losses: dict[str, float], *, ceiling: float = 1.0):
    """Masks lose this much IoU for each coded node."""
    asked: list[FloatNodes] = []

    def judge(in_float: FloatNodes) -> Verdict:
        asked.append(in_float)
        iou = ceiling - sum(loss for node, loss in losses.items() if node not in in_float)
        overall = Summary(
            kind="all", prompts=1, mean_iou=iou, p5_iou=iou, min_iou=iou, min_logit_cosine=None,
            max_logit_error=None, flip_share=None, reference_truth=None, candidate_truth=None,
        )  # fmt: skip
        passed = iou >= 0.975
        return Verdict(
            passed=passed,
            how="emulated",
            gate=Gate(mean_iou=0.975, min_iou=0),
            photos=1,
            failures=() if passed else (f"mean IoU {iou:.3f}",),
            overall=overall,
        )

    judge.asked = asked
    return judge


def test_nothing_is_returned_if_the_recipe_passes() -> None:
    judge = judge_by({"a": 0.01})
    assert return_blocks_to_float(PART, judge) == {}
    assert len(judge.asked) == 1


def test_the_block_of_most_gain_per_mac_is_returned_first() -> None:
    in_float = return_blocks_to_float(PART, judge_by({"a": 0.03, "d": 0.02}))
    assert in_float["d"] == "search: +0.020 IoU"
    assert set(in_float) == {"d", "a"}
    assert return_blocks_to_float(PART, judge_by({"a": 0.02, "d": 0.02})) == {
        "d": "search: +0.020 IoU"
    }


def test_nodes_of_a_block_are_returned_together() -> None:
    assert set(return_blocks_to_float(PART, judge_by({"b": 0.03, "c": 0.03}))) == {"b", "c"}


def test_a_model_that_fails_in_float_is_refused() -> None:
    with pytest.raises(GraphRejected, match=r"every block in float"):
        return_blocks_to_float(PART, judge_by({}, ceiling=0.9))
