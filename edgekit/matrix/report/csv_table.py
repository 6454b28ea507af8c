"""The overview as CSV: a line per cell, figures as numbers, times in seconds."""

from __future__ import annotations

import csv
import io

from edgekit.benchmark.figures import Figures, Task
from edgekit.matrix.overview import Overview, ShownCell
from edgekit.matrix.report.survey import BOXES, facts_of, survey_of
from edgekit.matrix.results import Result
from edgekit.verification.evaluation import TITLES

_TIMES = {
    "encoder_s": Task.ENCODER,
    "decoder_s": Task.DECODER,
    "decoder_50_s": Task.DECODER_MANY,
    "photo_s": Task.PHOTO,
}
_FACTS = ("parameters", "encoder_gmacs", "efficient_error_rate")
_SURVEY = (
    *_FACTS,
    *(f"photo_{boxes}_s" for boxes in BOXES),
    *("photos_per_second", "peak_bytes"),
    *(f"miou_{kind}" for kind in TITLES),
)


def csv_from(overview: Overview) -> str:
    """A head and a line per cell (RFC 4180). `times_of` says on what the times were taken;
    those of PyTorch are of the same run. `miou_*` are IoUs with annotations.
    """
    named = ("model", "weights", "target", "host", "state", "reason", "key", "started", "seconds")
    ious = ("mean_iou", "p5_iou", "min_iou", "prompts")
    pytorch = (f"pytorch_{name}" for name in _TIMES)
    figures = (*ious, "times_of", *_TIMES, *pytorch, "bytes", *_SURVEY)
    text = io.StringIO()
    writer = csv.DictWriter(text, (*named, *figures))
    writer.writeheader()
    for cell in overview.cells:
        row = {**_named(cell), **_figures(cell.result), **_survey(cell)}
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return text.getvalue()


def _named(cell: ShownCell) -> dict[str, object]:
    return {
        "model": cell.place.model,
        "weights": cell.place.weights_text,
        "target": cell.place.target,
        "host": cell.place.host,
        "state": cell.state,
        "reason": cell.reason,
    }


def _figures(result: Result | None) -> dict[str, object]:
    if result is None:
        return {}
    overall, timed, torch = result.overall, result.bundle_figures, result.pytorch_figures
    ious = ("mean_iou", "p5_iou", "min_iou", "prompts")
    return {
        "key": result.key,
        "started": result.started,
        "seconds": result.seconds,
        **{name: getattr(overall, name) for name in ious if overall},
        "times_of": timed.execution if timed else None,
        **{name: _median(timed, task) for name, task in _TIMES.items()},
        **{f"pytorch_{name}": _median(torch, task) for name, task in _TIMES.items()},
        "bytes": result.bundle_bytes,
    }


def _survey(cell: ShownCell) -> dict[str, object]:
    facts, survey = facts_of(cell.place.model), survey_of(cell)
    return {
        **{name: getattr(facts, name) for name in _FACTS if facts},
        **{f"photo_{boxes}_s": seconds for boxes, seconds in survey.latencies.items()},
        "photos_per_second": survey.photos_per_second,
        "peak_bytes": survey.peak_bytes,
        **{f"miou_{kind}": survey.miou.get(kind) for kind in TITLES},
    }


def _median(figures: Figures | None, task: Task) -> float | None:
    timing = figures.timing(task) if figures else None
    return timing.p50 if timing else None


def _harmless(value: object) -> object:
    """Of text, one line that no spreadsheet takes for a formula; other values as they are."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
