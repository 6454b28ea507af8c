"""The steps of a cell on the machine where this runs, in turns and within the cell's limits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from edgekit import store
from edgekit.matrix.cells import Cell, Step, StepName, StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.process import Ended, Limits, run_limited
from edgekit.matrix.steps import FOLDER
from edgekit.store.folders import part_dir
from edgekit.store.locks import lock, unlock

_LOG_LINES = 20
_POLL_S = 1.0
_TIMEOUT_S = 1800.0
_GOES_ON = (0, 1)
"""Exit codes after which a cell's next step runs: a bundle that failed its gate is timed too."""


def limits_of(config: Config) -> Limits:
    """The limits of a configuration; by default half an hour and nine tenths of the memory."""
    import psutil

    memory = psutil.virtual_memory().total * 9 // 10
    return Limits(
        seconds=config.timeout or _TIMEOUT_S,
        bytes=int(config.memory * 1e9) if config.memory else memory,
    )


def run_in_turns(
    processes: Mapping[StepName, Sequence[str]],
    told: Mapping[StepName, tuple[str, ...]],
    folder: Path,
    *,
    limits: Limits,
    stop: Event,
) -> Iterator[StepRun]:
    """Run the processes of steps until one fails. They share `limits.seconds`.

    Args:
        processes: the command of each step.
        told: the commands as a result shows them.
        folder: the bundle's parent; what the steps print is written there.
        limits: of all steps together, and of the memory of each.
        stop: ends what runs.
    """
    deadline = time.monotonic() + limits.seconds
    for name, command in processes.items():
        ended = run_limited(
            command,
            stdout=folder / f"{name}.json",
            stderr=folder / f"{name}.log",
            limits=Limits(seconds=deadline - time.monotonic(), bytes=limits.bytes),
            stop=stop,
        )
        yield _step_run(name, told[name], ended, folder)
        if ended.exit_code not in _GOES_ON:
            return


def _step_run(name: StepName, command: tuple[str, ...], ended: Ended, folder: Path) -> StepRun:
    """A step as a result shows it: the command for a user's folder, and the end of its log."""
    log = (folder / f"{name}.log").read_text(encoding="utf-8", errors="backslashreplace")
    lines = [line.rstrip() for line in log.replace(str(folder), FOLDER).splitlines()]
    step = Step(
        name=name,
        command=command,
        exit_code=ended.exit_code,
        seconds=round(ended.seconds, 2),
        peak_bytes=ended.peak_bytes,
        stopped=ended.stopped,
        log="\n".join(lines[-_LOG_LINES:]),
    )
    document = (folder / f"{name}.json").read_text(encoding="utf-8", errors="replace")
    return StepRun(step=step, document=document)


@contextmanager
def workplace(cell: Cell) -> Iterator[Path]:
    """A folder for a cell's bundle. What a killed run left behind is removed first.

    Raises:
        BadInput: the cache cannot be written.
    """
    advice = "set EDGEKIT_CACHE to a folder that can be written"
    with part_dir(store.cache_dir() / "matrix" / cell.name, advice=advice) as folder:
        yield folder


@contextmanager
def turn(folder: Path, stop: Event, *, timed: bool) -> Iterator[None]:
    """Wait until the machine is free for steps in a workplace.

    Steps that take times run while no other cell does. Other steps run beside each other, so that
    two shards may share a machine.
    """
    while (held := lock(folder.parent, shared=not timed)) is None and not stop.wait(_POLL_S):
        pass
    try:
        yield
    finally:
        unlock(held)
