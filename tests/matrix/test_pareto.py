"""Which cells a front joins, and which are left out of the comparison."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from edgekit.matrix import Measure, Overview, State
from edgekit.matrix.cells import Place
from edgekit.matrix.report import page_from
from edgekit.matrix.report.pareto import Comparison, Point, comparisons
from edgekit.matrix.report.plots import iou_plot, miou_plot, size_plot
from tests.matrix.fakes import FakeFleet, missed, passed


def point(name: str, seconds: float, iou: float, size: int, *, passed: bool = True) -> Point:
    place = Place(model=name, weights=(), target="t", host="local")
    return Point(place=place, seconds=seconds, iou=iou, bytes=size, passed=passed)


POINTS = (
    point("fast", 1.0, 0.98, 20),
    point("alike", 2.0, 0.99, 30),
    point("useless", 3.0, 0.985, 25),
    point("failed", 4.0, 0.999, 5, passed=False),
    point("small", 5.0, 0.99, 10),
    point("best", 6.0, 0.9999, 10),
)


def named(points) -> list[str]:
    return [each.place.model for each in points]


def test_a_front_joins_what_no_faster_cell_equals():
    comparison = Comparison(machine="m", points=POINTS, references=())
    assert named(comparison.most_alike) == ["fast", "alike", "best"]
    assert named(comparison.smallest) == ["fast", "small"]


def test_throughput_against_annotations_has_a_front_of_its_own():
    pytest.importorskip("matplotlib")
    figures = ((9.0, 0.6), (8.0, 0.7), (7.0, 0.65), (6.0, 0.9), (None, 0.9), (5.0, None))
    points = tuple(
        replace(point, throughput=throughput, miou=miou)
        for point, (throughput, miou) in zip(POINTS, figures, strict=True)
    )
    comparison = Comparison(machine="m", points=points, references=())
    assert named(comparison.scored) == ["fast", "alike", "useless", "failed"]
    assert named(comparison.most_accurate) == ["fast", "alike"]
    anchors = {point: f"cell-{index}" for index, point in enumerate(points)}
    drawn = miou_plot(comparison, anchors, name="p")
    assert drawn.count("<title>") == 4
    assert "photos per second" in drawn


def test_of_equally_fast_cells_the_better_is_on_the_front():
    twins = (point("worse", 1.0, 0.98, 20), point("better", 1.0, 0.99, 20))
    assert named(Comparison(machine="m", points=twins, references=()).most_alike) == ["better"]


@pytest.fixture
def timed(matrix) -> Overview:
    """Six cells with times; one failed its gate."""
    outcomes = {
        "nanosam/x86-fp32": passed(seconds=0.2),
        "nanosam/x86-int8": missed(),
        "mobilesam/x86-fp32": passed(seconds=0.4),
    }
    return matrix(
        FakeFleet(outcomes),
        measures=(Measure.VERIFY, Measure.BENCH),
        targets=("x86-fp32", "x86-int8"),
    )


def test_a_comparison_holds_the_cells_of_a_machine_fastest_first(timed):
    (comparison,) = comparisons(timed)
    assert comparison.machine == "a machine"
    assert [each.seconds for each in comparison.points] == pytest.approx(
        [0.202, 0.202, 0.404, 0.808]
    )
    assert [each.passed for each in comparison.points].count(False) == 1
    assert [each.seconds for each in comparison.references] == pytest.approx([2.02, 2.02])


def test_stale_cells_are_left_out(timed):
    stale = tuple(replace(cell, state=State.STALE) for cell in timed.cells)
    assert comparisons(replace(timed, cells=stale)) == ()


def test_cells_that_were_not_timed_are_left_out(matrix):
    assert comparisons(matrix(FakeFleet())) == ()


def test_cells_that_all_failed_have_plots_without_a_front():
    pytest.importorskip("matplotlib")
    failed = tuple(replace(each, passed=False) for each in POINTS)
    comparison = Comparison(machine="m", points=failed, references=())
    anchors = dict.fromkeys(failed, "cell")
    for draw in (iou_plot, size_plot):
        assert "fill: var(--accent)" not in draw(comparison, anchors, name="p")


def test_names_in_plots_are_no_markup(timed):
    pytest.importorskip("matplotlib")
    (comparison,) = comparisons(timed)
    evil = replace(comparison.points[0].place, model="</svg><script>alert('$x')</script>")
    points = (replace(comparison.points[0], place=evil), *comparison.points[1:])
    drawn = replace(comparison, points=points)
    anchors = {each: f"cell-{number}" for number, each in enumerate(points)}
    text = size_plot(drawn, anchors, name="p")
    assert "<script>" not in text
    assert text.count("</svg>") == 1
    assert "&lt;/svg&gt;&lt;script&gt;" in text
    ElementTree.fromstring(text)


@pytest.mark.parametrize("iou", [1.0, 0.0, 0.3])
def test_any_iou_can_be_drawn(timed, iou):
    pytest.importorskip("matplotlib")
    changed = tuple(
        replace(
            cell,
            result=replace(
                cell.result,
                verdict=replace(
                    cell.result.verdict, overall=replace(cell.result.overall, mean_iou=iou)
                ),
            ),
        )
        for cell in timed.cells
    )
    assert "<svg" in page_from(replace(timed, cells=changed), None)
