"""Rounds in which the contestants take turns. Each is loaded first, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.benchmark.contestant import Contestant
from edgekit.benchmark.figures import CURVE, Figures, Part, Task, median_parts, timing_of
from edgekit.benchmark.machine_peak import MachinePeak
from edgekit.benchmark.worker import Worker, WorkerFailed

WARM_UP = 2
"""Calls of each task that are not counted. `Figures.first_s` has the first of them."""

PATIENCE_S = 45
"""Seconds after which a task gets no more rounds, once it has had `FEWEST`."""
FEWEST = 3

CURVE_ROUNDS = 3
"""The most rounds of the curve's longer points. One is enough: PyTorch takes seconds for a call."""

NO_DECODER = "it has no decoder: its one graph finds the objects, or answers each prompt"

OnRound = Callable[[int, int], None]


@dataclass(slots=True)
class _Run:
    """A contestant and its figures so far. One with a `failure` takes no further part."""

    contestant: Contestant
    worker: Worker
    load_s: float = 0.0
    failure: str | None = None
    peak: int = 0
    first: dict[str, float] = field(default_factory=dict)
    seconds: dict[Task, list[float]] = field(default_factory=dict)
    parts: list[dict[Part, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is timed, and how.

    photo: the file to segment. threads: CPU threads of each contestant. rounds: counted calls per
    task, at most. tasks: what to time.
    """

    photo: Path
    threads: int
    rounds: int
    tasks: tuple[Task, ...] = tuple(Task)


def compare(
    contestants: Sequence[Contestant],
    conditions: Conditions,
    *,
    peak: MachinePeak | None = None,
    on_round: OnRound | None = None,
) -> tuple[Figures, ...]:
    """Time every contestant at every task, in turns.

    Args:
        contestants: at least one.
        conditions: what to time, and how.
        peak: takes turns with the encoders.
        on_round: called with (done, total) after each round.

    Returns:
        Figures in the order of the contestants. One that fails has a reason and no times.
    """
    photo, threads = conditions.photo, conditions.threads
    with ExitStack() as stack:
        runs = [
            _load(_Run(contestant, stack.enter_context(Worker(contestant, photo, threads=threads))))
            for contestant in contestants
        ]
        stretches = _stretches(conditions)
        total = sum(stretch.rounds for stretch in stretches)
        for place, stretch in enumerate(stretches):
            before = sum(earlier.rounds for earlier in stretches[:place])
            for turn in stretch.turns():
                _take_turns(runs, stretch.tasks, peak, counted=turn >= 0)
                if on_round:
                    on_round(before + max(turn + 1, 0), total)
        for run in runs:
            if run.failure is None:
                run.peak = run.worker.peak_bytes()
    return tuple(_figures(run) for run in runs)


def _load(run: _Run) -> _Run:
    try:
        run.load_s = run.worker.wait_loaded()
    except WorkerFailed as error:
        run.failure = str(error)
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Tasks whose rounds come one after the other."""

    tasks: tuple[Task, ...]
    rounds: int
    warm_up: int = WARM_UP
    fewest: int = FEWEST

    def turns(self) -> Iterator[int]:
        """The numbers of the rounds, below 0 where they do not count; a slow task gets fewer."""
        start = time.monotonic()
        for turn in range(-self.warm_up, self.rounds):
            if turn >= self.fewest and time.monotonic() - start > PATIENCE_S:
                return
            yield turn


def _stretches(conditions: Conditions) -> list[_Stretch]:
    """Each task by itself, then the longer ones of the curve beside each other.

    So the load of the machine is the same for all points of a curve. One round warms them up, since
    all graphs have run by then.
    """
    curve = tuple(task for task in conditions.tasks if task in CURVE[1:])
    stretches = [
        _Stretch(tasks=(task,), rounds=conditions.rounds)
        for task in conditions.tasks
        if task not in curve
    ]
    if curve:
        most = min(conditions.rounds, CURVE_ROUNDS)
        stretches.append(_Stretch(tasks=curve, rounds=most, warm_up=1, fewest=1))
    return stretches


def _take_turns(
    runs: Sequence[_Run], tasks: Sequence[Task], peak: MachinePeak | None, *, counted: bool
) -> None:
    """One round: each task, by each contestant; the machine's peak beside the encoders."""
    for task in tasks:
        for run in runs:
            _call(run, task, counted=counted)
    if peak and Task.ENCODER in tasks:
        peak.take_turn()


def _call(run: _Run, task: Task, *, counted: bool) -> None:
    if run.failure is not None or (task.decodes and not run.contestant.decodes):
        return
    try:
        seconds = run.worker.call(task)
        parts = run.worker.parts() if task is Task.PHOTO else None
    except WorkerFailed as error:
        run.failure = f"{task}: {error}"
        return
    run.first.setdefault(task.value, seconds)
    if counted:
        run.seconds.setdefault(task, []).append(seconds)
        if parts:
            run.parts.append(parts)


def _figures(run: _Run) -> Figures:
    contestant = run.contestant
    named = Figures(
        name=contestant.name,
        runtime=contestant.runtime,
        execution=contestant.execution,
        bytes=contestant.bytes,
        missing=run.failure,
        left_out=None if contestant.decodes else NO_DECODER,
    )
    if run.failure is not None:
        return named
    return replace(
        named,
        load_s=run.load_s,
        first_s=run.first,
        peak_bytes=run.peak,
        timings=tuple(timing_of(task, seconds) for task, seconds in run.seconds.items()),
        parts=median_parts(run.parts),
    )
