"""What changed between an earlier results folder and a later one: the first thing to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgekit.benchmark.figures import Figures, Task, Timing
from edgekit.matrix.cells import Place
from edgekit.matrix.results import Result
from edgekit.matrix.states import PASSED
from edgekit.records.enums import StrEnum
from edgekit.verification import Summary

IOU_STEP = 0.001
"""A mean or minimum IoU that moves by more is reported. Another CPU's kernels move it by less."""
TIME_STEP = 0.05
"""A time that changes by a smaller share is never reported, however steady its calls were."""
FEWEST_CALLS = 5
"""The spread of fewer calls says too little: their time is not compared."""


class Change(StrEnum):
    """Kinds of difference, the most urgent first."""

    NEW_FAILURE = "new failure"
    FIXED = "fixed"
    OTHER_STATE = "other state"
    IOU_MOVED = "IoU moved"
    SLOWER = "slower"
    FASTER = "faster"
    ADDED = "added"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference of one place. `text` says from what to what."""

    change: Change
    place: Place
    text: str


def differences(before: Iterable[Result], after: Iterable[Result]) -> tuple[Difference, ...]:
    """The differences from one folder to another, the most urgent first."""
    old = {result.place: result for result in before}
    new = {result.place: result for result in after}
    found = [
        Difference(change=change, place=place, text=text)
        for place in {**old, **new}
        for change, text in _changes(old.get(place), new.get(place))
    ]
    order = list(Change)
    return tuple(sorted(found, key=lambda each: (order.index(each.change), each.place)))


def _changes(before: Result | None, after: Result | None) -> Iterator[tuple[Change, str]]:
    if before is None or after is None:
        yield from ((Change.ADDED, str(after.state)),) if after else ((Change.GONE, ""),)
        return
    if before.state != after.state:
        yield _change_of_state(before, after), f"{before.state} to {_with_reason(after)}"
    elif before.overall and after.overall:
        yield from _iou_changes(before.overall, after.overall)
    if before.identity.host.machine == after.identity.host.machine:
        for task in Task:
            yield from _time_changes(before, after, task)


def _change_of_state(before: Result, after: Result) -> Change:
    passed = (before.state in PASSED, after.state in PASSED)
    kinds = {(True, False): Change.NEW_FAILURE, (False, True): Change.FIXED}
    return kinds.get(passed, Change.OTHER_STATE)


def _with_reason(result: Result) -> str:
    return f"{result.state}: {result.reason}" if result.reason else str(result.state)


def _iou_changes(before: Summary, after: Summary) -> Iterator[tuple[Change, str]]:
    moved = (after.mean_iou - before.mean_iou, after.min_iou - before.min_iou)
    if max(map(abs, moved)) > IOU_STEP:
        mean = f"mean IoU {before.mean_iou:.4f} to {after.mean_iou:.4f}"
        yield Change.IOU_MOVED, f"{mean}, minimum {before.min_iou:.4f} to {after.min_iou:.4f}"


def _time_changes(before: Result, after: Result, task: Task) -> Iterator[tuple[Change, str]]:
    """A change of the fastest call that the spread of the calls cannot explain.

    Where PyTorch was timed in both runs, times are divided by its own: what slowed the machine
    slowed PyTorch too. The fastest call of each side may be off by the spread of its calls, so the
    spreads of all sides are multiplied.
    """
    sides = (before.bundle_figures, after.bundle_figures)
    old, new = (_timing(figures, task) for figures in sides)
    if old is None or new is None:
        return
    ratio, noise, relative = new.fastest / old.fastest, _spread(old) * _spread(new), ""
    torch = (before.pytorch_figures, after.pytorch_figures)
    old_torch, new_torch = (_timing(figures, task) for figures in torch)
    if old_torch and new_torch:
        ratio /= new_torch.fastest / old_torch.fastest
        noise *= _spread(old_torch) * _spread(new_torch)
        relative = " relative to PyTorch"
    if max(ratio, 1 / ratio) > max(noise, 1 + TIME_STEP):
        change = Change.SLOWER if ratio > 1 else Change.FASTER
        milliseconds = f"{old.fastest * 1e3:.1f} to {new.fastest * 1e3:.1f} ms"
        yield (
            change,
            f"{task}: {milliseconds}, {ratio:.2f} times{relative}; repeated calls differ by up to "
            f"{noise - 1:.0%}",
        )


def _timing(figures: Figures | None, task: Task) -> Timing | None:
    """The times of a task, if there are enough to tell how much they spread."""
    timing = figures.timing(task) if figures else None
    return timing if timing and timing.runs >= FEWEST_CALLS else None


def _spread(timing: Timing) -> float:
    """How many times as long as the fastest call the usual one took."""
    return timing.p50 / timing.fastest
