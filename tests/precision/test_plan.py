from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.errors import BadInput
from edgekit.pack import mac_shares, read_plan, write_plan
from edgekit.precision.apply.casts import apply_casts
from edgekit.precision.decide.fp16 import plan_with_islands
from edgekit.program.blocks import block_names
from edgekit.records import Precision, PrecisionPlan, Role


def test_lines_name_node_operator_block_and_work(tiny) -> None:
    part = plan_with_islands(tiny().encoder, {"conv2d_1": "a test"})
    lines = {line.node: line for line in part.nodes}
    assert lines["conv2d_1"].block == "body"
    assert lines["conv2d_1"].operator == "conv2d.default"
    assert lines["conv2d_1"].macs == 8 * 64 * 64 * 8 * 9
    assert (lines["conv2d_1"].precision, lines["conv2d_1"].reason) == (Precision.FP32, "a test")
    assert lines["conv2d"].reason is None
    assert not any("permute" in node for node in lines)


def test_relu_keeps_the_precision_of_its_input(tiny) -> None:
    lines = {line.node: line for line in plan_with_islands(tiny().encoder, {"conv2d": "x"}).nodes}
    assert lines["relu"].precision is Precision.FP32
    assert lines["conv2d_1"].precision is Precision.FP16


def test_a_functional_node_belongs_to_the_block_of_its_weights(tiny) -> None:
    blocks = block_names(tiny().encoder)
    assert blocks["layer_norm"] == "norm"
    assert blocks["conv2d"] == "stem"


def test_shares_of_macs(tiny) -> None:
    lines = plan_with_islands(tiny().encoder, {"conv2d_2": "x"}).nodes
    shares = mac_shares(lines)
    work = {line.node: line.macs for line in lines}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[Precision.FP32] == work["conv2d_2"] / sum(work.values())


def test_a_plan_is_read_as_it_was_written(tiny, tmp_path) -> None:
    parts = tuple(plan_with_islands(tiny().program(role), {}) for role in Role)
    plan = PrecisionPlan(asked=Precision.FP16, recipe="ranges", parts=parts)
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: (replace(lines[0], node="conv2d_99"), *lines[1:]), "nodes: conv2d_99"),
        (lambda lines: lines[1:], "left out: conv2d"),
        (lambda lines: (lines[0], *lines), "named twice: conv2d"),
    ],
)
def test_a_plan_for_another_program_is_refused(tiny, change, problem: str) -> None:
    encoder = tiny().encoder
    part = plan_with_islands(encoder, {})
    with pytest.raises(BadInput, match=problem):
        apply_casts(encoder, replace(part, nodes=change(part.nodes)))
