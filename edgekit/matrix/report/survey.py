"""What the survey of efficient models (arXiv 2410.04960) compares: of each model, and of each cell.

A figure that was not measured is None; times are only those of a native run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from edgekit.benchmark.figures import CURVE, Task
from edgekit.matrix.overview import ShownCell
from edgekit.matrix.report.figures import native_times
from edgekit.models import registry
from edgekit.models.efficiency import efficient_error_rate
from edgekit.records import ModelRow

BOXES = tuple(task.prompts for task in CURVE[1:])
"""The numbers of boxes on one photo for which there is a latency: 10 to 50."""

SHOWN_KINDS = ("point", "random_1", "random_2", "random_3", "box", "tight_box")
"""The survey's prompts, in its order; `edgekit evaluate` has more."""

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The figures of one cell.

    `latencies` are median seconds from a photo's file to the masks of so many boxes.
    `photos_per_second` is the throughput with one box each. `peak_bytes` is the most memory of the
    process that was timed. `miou` is the mean IoU with annotations by kind of prompt.
    """

    latencies: dict[int, float] = field(default_factory=dict)
    photos_per_second: float | None = None
    peak_bytes: int | None = None
    miou: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a model costs before anything runs: parameters, MACs of its encoder in 10^9, and its
    efficient error rate, for which SAM ViT-H is 1."""

    parameters: int
    encoder_gmacs: float
    efficient_error_rate: float


def survey_of(cell: ShownCell) -> Survey:
    """The figures of a cell; empty where nothing was measured."""
    timed = native_times(cell)
    scores = cell.result.scores if cell.result else None
    miou = scores.overall if scores else {}
    if timed is None:
        return Survey(miou=miou)
    curve = {timing.task.prompts: timing.p50 for timing in timed.timings if timing.task in CURVE}
    photo = timed.timing(Task.PHOTO)
    return Survey(
        latencies={boxes: curve[boxes] for boxes in BOXES if boxes in curve},
        photos_per_second=photo.per_second if photo else None,
        peak_bytes=timed.peak_bytes,
        miou=miou,
    )


@cache
def facts_of(model: str) -> ModelFacts | None:
    """The facts of a model; None if this edgekit does not know it."""
    row = _rows().get(model)
    if row is None:
        return None
    return ModelFacts(
        parameters=row.parameters,
        encoder_gmacs=row.encoder_gmacs,
        efficient_error_rate=efficient_error_rate(row),
    )


def _rows() -> dict[str, ModelRow]:
    return {row.name: row for row in registry.models()}
