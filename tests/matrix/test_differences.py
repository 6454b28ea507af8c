"""What is told of two results folders, and what is noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.matrix import Measure, Result, differences, read_results
from edgekit.matrix.differences import IOU_STEP, Change
from tests.matrix.fakes import FakeFleet, Steps, bench, export_error, missed, passed


@pytest.fixture
def folder(matrix, tmp_path):
    """`folder(name, steps, ...)`: the results of nanosam for x86-fp32, timed."""

    def make(name: str, steps: Steps, *, machine: str = "a machine") -> list[Result]:
        matrix(
            FakeFleet({"nanosam/x86-fp32": steps}, machine=machine),
            models=("nanosam",),
            targets=("x86-fp32",),
            measures=(Measure.VERIFY, Measure.BENCH),
            results=tmp_path / name,
        )
        return list(read_results(tmp_path / name))

    return make


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (passed(), passed(), []),
        (passed(), missed(), [Change.NEW_FAILURE]),
        (missed(), passed(), [Change.FIXED]),
        (passed(), export_error("NotYet", "gone"), [Change.NEW_FAILURE]),
        (export_error("NotYet", "no"), export_error("RuntimeMissing", "x"), [Change.OTHER_STATE]),
        (passed(), passed(how="emulated"), [Change.OTHER_STATE]),
        (passed(iou=0.9995), passed(iou=0.9995 - IOU_STEP * 0.9), []),
        (passed(iou=0.9995), passed(iou=0.9995 - IOU_STEP * 1.1), [Change.IOU_MOVED]),
    ],
)
def test_states_and_ious(folder, before, after, changes):
    found = differences(folder("before", before), folder("after", after))
    assert [each.change for each in found] == changes


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (passed(), missed(), "passed native to gate failed: minimum IoU 0.50000 is below 0.99"),
        (
            passed(iou=0.9995),
            passed(iou=0.997),
            "mean IoU 0.9995 to 0.9970, minimum 0.9995 to 0.9970",
        ),
    ],
)
def test_a_text_says_from_what_to_what(folder, before, after, text):
    (found,) = differences(folder("before", before), folder("after", after))
    assert found.text == text


def test_cells_that_came_and_went(folder):
    results = folder("one", passed())
    assert [each.change for each in differences([], results)] == [Change.ADDED]
    assert [each.change for each in differences(results, [])] == [Change.GONE]


def timed(result: Result, seconds: float, *, torch: float, **calls: float) -> Result:
    """The result with another encoder time, and another time of PyTorch."""
    bundle = bench("b", seconds, **calls).figures[1]
    pytorch = bench("b", torch / 10, **calls).figures[0]
    assert result.bench is not None
    return replace(result, bench=replace(result.bench, figures=(pytorch, bundle)))


@pytest.mark.parametrize(
    ("seconds", "torch", "spread", "change"),
    [
        (0.10, 1.0, 0.01, None),
        (0.20, 1.0, 0.01, Change.SLOWER),
        (0.05, 1.0, 0.01, Change.FASTER),
        (0.20, 2.0, 0.01, None),  # the machine was slower, and PyTorch with it
        (0.104, 1.0, 0.01, None),  # too little to tell, however steady
        (0.13, 1.0, 0.5, None),  # the calls of one run differ by more
        (0.115, 1.0, 0.1, None),  # each side may be off by a tenth
        (0.10, 2.0, 0.01, Change.FASTER),
    ],
)
def test_times_beyond_the_noise(folder, seconds, torch, spread, change):
    (result,) = folder("one", passed())
    before = timed(result, 0.1, torch=1.0, spread=0.01)
    after = timed(result, seconds, torch=torch, spread=spread)
    found = {each.change for each in differences([before], [after])}
    assert found == ({change} if change else set())


def test_the_spread_of_few_calls_supports_no_claim(folder):
    (result,) = folder("one", passed())
    few = [timed(result, seconds, torch=1.0, rounds=4) for seconds in (0.1, 0.3)]
    enough = [timed(result, seconds, torch=1.0, rounds=5) for seconds in (0.1, 0.3)]
    assert differences(few[:1], few[1:]) == ()
    assert {each.change for each in differences(enough[:1], enough[1:])} == {Change.SLOWER}


def test_times_without_pytorch_are_compared_as_they_are(folder):
    (result,) = folder("one", passed())
    alone = replace(result.bench, figures=result.bench.figures[1:])
    slower = replace(result.bench, figures=bench("b", 0.3).figures[1:])
    found = differences([replace(result, bench=alone)], [replace(result, bench=slower)])
    assert {each.change for each in found} == {Change.SLOWER}
    assert found[0].text.endswith(
        "100.0 to 300.0 ms, 3.00 times; repeated calls differ by up to 2%"
    )


def test_times_of_another_machine_are_not_compared(folder):
    one = folder("one", passed(seconds=0.1), machine="fast")
    two = folder("two", passed(seconds=0.5), machine="slow")
    assert differences(one, two) == ()


def test_the_most_urgent_comes_first(matrix, tmp_path):
    before = tmp_path / "before"
    matrix(FakeFleet({"mobilesam/x86-fp32": missed()}), results=before)
    matrix(FakeFleet({"nanosam/x86-fp32": missed()}))
    found = differences(read_results(before), read_results(tmp_path / "results"))
    assert [each.change for each in found][:2] == [Change.NEW_FAILURE, Change.FIXED]
