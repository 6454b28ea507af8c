"""The figures of a comparison. Times are in seconds, memory in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekit.records.enums import StrEnum


class Task(StrEnum):
    """What is timed.

    Encoder and decoder are timed alone, on tensors that are ready. `PHOTO` is everything from a
    photo's file to the mask of one box at the photo's size, the others of `CURVE` to those of
    several boxes, which are decoded in one call, in the predictor's own batches.
    """

    ENCODER = "encoder"
    DECODER = "decoder, 1 prompt"
    DECODER_MANY = "decoder, 50 prompts"
    PHOTO = "photo file to mask"
    PHOTO_10 = "photo file to 10 masks"
    PHOTO_20 = "photo file to 20 masks"
    PHOTO_30 = "photo file to 30 masks"
    PHOTO_40 = "photo file to 40 masks"
    PHOTO_50 = "photo file to 50 masks"

    @property
    def decodes(self) -> bool:
        """Whether it needs a decoder."""
        return self in (Task.DECODER, Task.DECODER_MANY)

    @property
    def prompts(self) -> int:
        """Prompts of one call, each a box."""
        return _PROMPTS[self]


MANY = 50
"""Prompts of `Task.DECODER_MANY`."""

CURVE = (
    Task.PHOTO,
    Task.PHOTO_10,
    Task.PHOTO_20,
    Task.PHOTO_30,
    Task.PHOTO_40,
    Task.PHOTO_50,
)
"""The points of the curve of time over the number of boxes on one photo."""

_PROMPTS = dict(zip(Task, (0, 1, MANY, 1, 10, 20, 30, 40, 50), strict=True))


class Part(StrEnum):
    """A part of `Task.PHOTO`, in order. `DECODER` is all that is done for the prompt."""

    READ = "read and decode the file"
    PREPROCESS = "preprocess"
    ENCODER = "encoder"
    DECODER = "decoder"
    MASK = "mask at the photo's size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Percentiles over `runs` calls, in seconds. `per_second` counts prompts; the encoder's photos.

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
    over all tasks. parts: the median of each `Part` of `Task.PHOTO`, in seconds.
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
    parts: dict[Part, float] = field(default_factory=dict)

    def timing(self, task: Task) -> Timing | None:
        """The timing of one task; None if it was not run."""
        return next((timing for timing in self.timings if timing.task is task), None)


def timing_of(task: Task, seconds: Sequence[float]) -> Timing:
    """Summarise at least one measured call."""
    p50, p90, p99 = (float(value) for value in np.quantile(seconds, (0.5, 0.9, 0.99)))
    return Timing(
        task=task,
        runs=len(seconds),
        fastest=min(seconds),
        p50=p50,
        p90=p90,
        p99=p99,
        per_second=max(task.prompts, 1) / p50,
    )


def median_parts(runs: Sequence[Mapping[Part, float]]) -> dict[Part, float]:
    """The median seconds of each part over the calls of `Task.PHOTO`; empty without any."""
    return {part: float(np.median([run[part] for run in runs])) for part in Part if runs}
