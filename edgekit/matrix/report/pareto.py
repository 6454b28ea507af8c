"""Which timed cells are worth their time: those that no faster cell equals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from edgekit.benchmark.figures import Figures, Task
from edgekit.matrix.cells import Place
from edgekit.matrix.overview import Overview, ShownCell
from edgekit.matrix.report.figures import native_times
from edgekit.matrix.report.survey import survey_of
from edgekit.matrix.states import PASSED, State

SCORED_KIND = "box"
"""The prompts whose IoU with annotations is set against throughput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A cell as a point: its latency is that of the encoder and 50 prompts, medians, in seconds.

    `iou` is the mean mask IoU with PyTorch, `bytes` the size of the files. `passed` is whether the
    gate passed; a cell that failed it is drawn, but is never worth its time. `miou` is the mean IoU
    of the masks of boxes with annotations, and `throughput` photos per second with one box.
    """

    place: Place
    seconds: float
    iou: float
    bytes: int
    passed: bool
    miou: float | None = None
    throughput: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """PyTorch's latency with a model, in the run of one of its cells, and its weights' bytes."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The points of one machine, fastest first: times of different machines do not compare."""

    machine: str
    points: tuple[Point, ...]
    references: tuple[Reference, ...]

    @property
    def most_alike(self) -> tuple[Point, ...]:
        """The points with a higher IoU than all that are faster."""
        return _front(self.points, lambda point: point.iou)

    @property
    def smallest(self) -> tuple[Point, ...]:
        """The points with smaller files than all that are faster."""
        return _front(self.points, lambda point: -point.bytes)

    @property
    def scored(self) -> tuple[Point, ...]:
        """The points that were compared with annotations too."""
        return tuple(point for point in self.points if None not in (point.miou, point.throughput))

    @property
    def most_accurate(self) -> tuple[Point, ...]:
        """The points with a higher IoU with annotations than all of a greater throughput."""
        return _front(self.scored, _miou, cost=lambda point: -_throughput(point))


def comparisons(overview: Overview) -> tuple[Comparison, ...]:
    """The timed cells by machine. Stale cells, whose code or files are others, are left out."""
    fresh = [cell for cell in overview.cells if cell.state is not State.STALE]
    by_machine = sorted(fresh, key=_machine)
    found = (
        _comparison(machine, tuple(cells)) for machine, cells in groupby(by_machine, key=_machine)
    )
    return tuple(comparison for comparison in found if comparison.points)


def _machine(cell: ShownCell) -> str:
    return cell.result.identity.host.machine if cell.result else ""


def _comparison(machine: str, cells: tuple[ShownCell, ...]) -> Comparison:
    points = sorted(filter(None, map(_point, cells)), key=lambda point: point.seconds)
    references = {cell.place.row: found for cell in cells for found in _references(cell)}
    return Comparison(machine=machine, points=tuple(points), references=tuple(references.values()))


def _point(cell: ShownCell) -> Point | None:
    seconds, result = _latency(native_times(cell)), cell.result
    if seconds is None or result is None or not (result.overall and result.bundle_bytes):
        return None
    survey = survey_of(cell)
    return Point(
        place=cell.place,
        seconds=seconds,
        iou=result.overall.mean_iou,
        bytes=result.bundle_bytes,
        passed=cell.state in PASSED,
        miou=survey.miou.get(SCORED_KIND),
        throughput=survey.photos_per_second,
    )


def _references(cell: ShownCell) -> Iterator[Reference]:
    timed = cell.result.pytorch_figures if cell.result else None
    seconds = _latency(timed)
    if timed and seconds and timed.bytes:
        yield Reference(seconds=seconds, bytes=timed.bytes)


def _latency(figures: Figures | None) -> float | None:
    tasks = (Task.ENCODER, Task.DECODER_MANY)
    timings = [figures.timing(task) for task in tasks] if figures else []
    known = [timing.p50 for timing in timings if timing]
    return sum(known) if len(known) == len(tasks) else None


def _miou(point: Point) -> float:
    return point.miou or 0.0


def _throughput(point: Point) -> float:
    return point.throughput or 0.0


def _front(
    points: Iterable[Point],
    worth: Callable[[Point], float],
    cost: Callable[[Point], float] = lambda point: point.seconds,
) -> tuple[Point, ...]:
    """The points that passed and are worth more than all that cost less."""
    front: list[Point] = []
    passed = [point for point in points if point.passed]
    for point in sorted(passed, key=lambda point: (cost(point), -worth(point))):
        if not front or worth(point) > worth(front[-1]):
            front.append(point)
    return tuple(front)
