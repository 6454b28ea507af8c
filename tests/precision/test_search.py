"""The search for blocks that must stay FP32."""

from __future__ import annotations

import pytest

from edgekit.errors import GraphRejected
from edgekit.precision.decide.fp16_search import MOST_TRIES, Islands, blocks_of, keep_blocks_in_fp32
from edgekit.records import Gate, Role
from edgekit.verification import Summary, Verdict

REASON = "search: masks miss the gate in FP16"
NONE: Islands = {Role.ENCODER: {}, Role.DECODER: {}}


def judge_that_needs(*needed: str, ceiling: float = 1.0):
    """Masks lose 0.1 IoU for each of these nodes that is not an island."""
    asked: list[Islands] = []

    def judge(islands: Islands) -> Verdict:
        asked.append(islands)
        named = {name for nodes in islands.values() for name in nodes}
        iou = ceiling - 0.1 * sum(name not in named for name in needed)
        passed = iou >= 0.99
        overall = Summary(
            kind="all", prompts=1, mean_iou=iou, p5_iou=iou, min_iou=iou, min_logit_cosine=None,
            max_logit_error=None, flip_share=None, reference_truth=None, candidate_truth=None,
        )  # fmt: skip
        return Verdict(
            passed=passed,
            how="emulated",
            gate=Gate(mean_iou=0.99, min_iou=0),
            photos=1,
            failures=() if passed else (f"mean IoU {iou}",),
            overall=overall,
        )

    judge.asked = asked
    return judge


def programs(tiny):
    return [tiny().program(role) for role in Role]


def test_nothing_moves_if_the_gate_passes(tiny) -> None:
    judge = judge_that_needs()
    assert keep_blocks_in_fp32(programs(tiny), NONE, judge) == NONE
    assert len(judge.asked) == 1


def test_the_block_at_fault_is_found(tiny) -> None:
    islands = keep_blocks_in_fp32(programs(tiny), NONE, judge_that_needs("conv2d_1"))
    assert islands == {Role.ENCODER: {"conv2d_1": REASON}, Role.DECODER: {}}


def test_two_blocks_of_different_programs(tiny) -> None:
    islands = keep_blocks_in_fp32(
        programs(tiny), NONE, judge_that_needs("conv2d_2", "conv_transpose2d")
    )
    assert "conv2d_2" in islands[Role.ENCODER]
    assert "conv_transpose2d" in islands[Role.DECODER]
    assert "conv2d" not in islands[Role.ENCODER]


def test_islands_from_ranges_keep_their_reasons(tiny) -> None:
    given = {Role.ENCODER: {"conv2d": "range 9.1e4 exceeds FP16"}, Role.DECODER: {}}
    islands = keep_blocks_in_fp32(programs(tiny), given, judge_that_needs("conv2d", "layer_norm"))
    assert islands[Role.ENCODER]["conv2d"] == "range 9.1e4 exceeds FP16"
    assert islands[Role.ENCODER]["layer_norm"] == REASON


def test_a_fault_in_every_block_is_found_in_bounded_time(tiny) -> None:
    blocks = blocks_of(programs(tiny), NONE)
    judge = judge_that_needs(*(node for block in blocks for node in block.nodes))
    islands = keep_blocks_in_fp32(programs(tiny), NONE, judge)
    assert judge(islands).passed
    assert len(judge.asked) <= MOST_TRIES + 3


def test_a_search_cut_short_still_passes(tiny, monkeypatch) -> None:
    monkeypatch.setattr("edgekit.precision.decide.fp16_search.MOST_TRIES", 2)
    judge = judge_that_needs("conv2d_2", "conv_transpose2d")
    islands = keep_blocks_in_fp32(programs(tiny), NONE, judge)
    assert judge(islands).passed
    assert len(judge.asked) <= 2 + 3


def test_a_gate_that_fails_in_fp32_is_an_error(tiny) -> None:
    with pytest.raises(GraphRejected, match="FP32 too"):
        keep_blocks_in_fp32(programs(tiny), NONE, judge_that_needs(ceiling=0.5))


def test_blocks_cover_every_node_once(tiny) -> None:
    blocks = blocks_of(programs(tiny), NONE)
    nodes = [(block.role, node) for block in blocks for node in block.nodes]
    assert len(nodes) == len(set(nodes))
    assert (Role.ENCODER, "conv2d_1") in nodes
