"""Rounds in which the contestants take turns. Each is loaded first, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.benchmark.contestant import Contestant
from edgekit.benchmark.figures import Figures, Task, timing_of
from edgekit.benchmark.worker import Worker, WorkerFailed

WARM_UP = 2
"""Calls of each task that are not counted. `Figures.first_s` has the first of them."""

PATIENCE_S = 45
"""Seconds after which a task gets no more rounds, once it has had `FEWEST`."""
FEWEST = 3

NO_DECODER = "it has no decoder; prompts select among the objects that its one graph finds"

OnCall = Callable[[int, int], None]


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


def compare(
    contestants: Sequence[Contestant],
    photo: Path,
    *,
    threads: int,
    rounds: int,
    tasks: Sequence[Task] = tuple(Task),
    on_call: OnCall | None = None,
) -> tuple[Figures, ...]:
    """Time every contestant at every task, in turns.

    Args:
        contestants: at least one.
        photo: the file to segment.
        threads: CPU threads of each contestant.
        rounds: counted calls per task, at most.
        tasks: what to time.
        on_call: called with (done, total) after each round.

    Returns:
        Figures in the order of the contestants. One that fails has a reason and no times.
    """
    with ExitStack() as stack:
        runs = [
            _load(_Run(contestant, stack.enter_context(Worker(contestant, photo, threads=threads))))
            for contestant in contestants
        ]
        for task, turn in _turns(tasks, rounds):
            for run in runs:
                _call(run, task, turn)
            if on_call:
                on_call(tasks.index(task) * rounds + min(turn + 1, rounds), len(tasks) * rounds)
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


def _turns(tasks: Sequence[Task], rounds: int) -> Iterator[tuple[Task, int]]:
    """Yield every task with its rounds; a slow task gets fewer."""
    for task in tasks:
        start = time.monotonic()
        for turn in range(WARM_UP + rounds):
            enough = turn >= WARM_UP + FEWEST
            if enough and time.monotonic() - start > PATIENCE_S:
                break
            yield task, turn


def _call(run: _Run, task: Task, turn: int) -> None:
    if run.failure is not None or (task.decodes and not run.contestant.decodes):
        return
    try:
        seconds = run.worker.call(task)
    except WorkerFailed as error:
        run.failure = f"{task}: {error}"
        return
    if turn == 0:
        run.first[task.value] = seconds
    if turn >= WARM_UP:
        run.seconds.setdefault(task, []).append(seconds)


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
    )
