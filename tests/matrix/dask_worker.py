"""Loaded by Dask workers of tests (`--preload`): a cell's steps are made up instead of run.

Each run leaves its parcel as TARGET-PID in the folder `FAKE_CELLS`. The first run of `jetson-int8`
does not end by itself, and those of `mobilesam` break.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from edgekit.matrix import Cell
from edgekit.matrix.cells import StepRun
from edgekit.matrix.config import Config
from edgekit.matrix.fleets import dask_worker
from edgekit.records import Target
from tests.matrix.fakes import passed

HANGS_ONCE = "jetson-int8"
BREAKS = "mobilesam"


def run_parcel(
    cell: Cell, _: Target, fetch: Callable[[Path], object], config: Config, stop: Event
) -> tuple[StepRun, ...]:
    folder = Path(os.environ["FAKE_CELLS"])
    first = not list(folder.glob(f"{cell.target}-*"))
    started = folder / f"{cell.target}-{os.getpid()}"
    fetch(started)
    if cell.model == BREAKS:
        raise OSError(28, "No space left on device")
    while cell.target == HANGS_ONCE and first and not stop.is_set():
        time.sleep(0.1)
    return passed()(cell)[1:]


dask_worker.run_parcel = run_parcel
