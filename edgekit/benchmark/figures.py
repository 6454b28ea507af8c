"""The figures of a comparison. Times are in seconds, memory in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.records.enums import StrEnum


class Task(StrEnum):
    """What is timed.

    Encoder and decoder are timed alone, on tensors that are ready. `PHOTO` is everything from a
    photo's file to the mask of one box at the photo's size.
    """

    ENCODER = "encoder"
    DECODER = "decoder, 1 prompt"
    DECODER_MANY = "decoder, 50 prompts"
    PHOTO = "photo file to mask"

    @property
    def decodes(self) -> bool:
        """Whether it needs a decoder."""
        return self in (Task.DECODER, Task.DECODER_MANY)


MANY = 50
"""Prompts of `Task.DECODER_MANY`: boxes, decoded in the predictor's own batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Percentiles over `runs` calls, in seconds. `per_second` counts prompts, or photos.

    `fastest` is the shortest call: the one that other work on the machine disturbed least.
    """

    task: Task
    runs: int
    fastest: float
    p50: float
    p90: float
    p99: float
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one contestant. If it failed, `missing` says why and there are no times.

    execution: "native", or "emulated by" and the stand-in, whose times are not the runtime's.
    left_out: why it was not timed at some tasks. load_s: until all graphs are ready. first_s: the
    first call of each task, which includes compilation. peak_bytes: peak memory of its process
    over all tasks.
    """

    name: str
    runtime: str
    execution: str
    bytes: int
    missing: str | None = None
    left_out: str | None = None
    load_s: float | None = None
    first_s: dict[str, float] | None = None
    peak_bytes: int | None = None
    timings: tuple[Timing, ...] = ()

    def timing(self, task: Task) -> Timing | None:
        """The timing of one task; None if it was not run."""
        return next((timing for timing in self.timings if timing.task is task), None)


def timing_of(task: Task, seconds: Sequence[float]) -> Timing:
    """Summarise at least one measured call."""
    p50, p90, p99 = (float(value) for value in np.quantile(seconds, (0.5, 0.9, 0.99)))
    count = MANY if task is Task.DECODER_MANY else 1
    return Timing(
        task=task,
        runs=len(seconds),
        fastest=min(seconds),
        p50=p50,
        p90=p90,
        p99=p99,
        per_second=count / p50,
    )
