"""What was measured of models and targets, for `verified.json` and the tables of the READMEs.

`results/` is a results folder of `edgekit matrix`. `families.jsonl` are rows from before there was
one: they tell neither the code nor the weights by digest. A pair with a result needs no such row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.benchmark.figures import Task
from edgekit.matrix import Result, State, read_results
from edgekit.matrix.states import PASSED, UNDECIDED
from edgekit.models import registry

RESULTS = Path(__file__).with_name("results")
EARLIER = Path(__file__).with_name("families.jsonl")
VERIFICATION = ("model", "target", "passed", "how", "mean_iou", "min_iou", "photos", "prompts")
VERIFICATION += ("weights", "edgekit", "date", "error")
WEIGHTS = ("seeded", "bundled", "official")

Row = dict[str, Any]


def measured_rows(results: Path = RESULTS, earlier: Path = EARLIER) -> list[Row]:
    """The newest row of each kind ("verify", "speed", "export"), model, target and weights."""
    lines = map(json.loads, earlier.read_text().splitlines())
    rows = [*lines, *(row for result in in_order(results) for row in rows_of(result))]
    return list({(r["kind"], r["model"], r["target"], r["weights"]): r for r in rows}.values())


def verified_text(rows: list[Row]) -> str:
    """`verified.json`: the outcome of each pair, one per line, in the registry's order."""
    order = {row.name: place for place, row in enumerate(registry.models())}
    verified = (row for row in rows if row["kind"] == "verify")
    told = [{**dict.fromkeys(VERIFICATION), **told_of(row)} for row in verified]
    told.sort(key=lambda row: (order[row["model"]], row["target"], row["weights"]))
    return "[\n" + ",\n".join(map(json.dumps, told)) + "\n]\n"


def told_of(row: Row) -> Row:
    return {key: row[key] for key in (*VERIFICATION, "code") if key in row}


def in_order(results: Path) -> list[Result]:
    """Those that say something of their pair: emulated ones first, then by date."""
    decided = (result for result in read_results(results) if result.state not in UNDECIDED)
    return sorted(decided, key=lambda each: (each.state is State.PASSED_NATIVE, each.started))


def rows_of(result: Result) -> Iterator[Row]:
    """What a result tells, as rows of the older kind. Times are those of the fastest calls."""
    (weights,) = result.cell.weights or ("",)
    assert weights in WEIGHTS, f"{result.place.title}: run it with --weights {' or '.join(WEIGHTS)}"
    known = {"model": result.cell.model, "target": result.cell.target, "weights": weights}
    known |= {"edgekit": result.edgekit, "date": result.started[:10]}
    yield {"kind": "verify", **known, **verification(result)}
    sides = (result.pytorch_figures, result.bundle_figures)
    eager, bundle = (side and side.timing(Task.ENCODER) for side in sides)
    if eager and bundle:
        ratio = round(eager.fastest / bundle.fastest, 2)
        yield {"kind": "speed", **known, "eager_ms": eager.fastest * 1e3, "ratio": ratio}


def verification(result: Result) -> Row:
    verdict, overall = result.verdict, result.overall
    return {
        "passed": result.state in PASSED,
        "how": verdict.how if verdict else "not run",
        "mean_iou": overall and round(overall.mean_iou, 5),
        "min_iou": overall and round(overall.min_iou, 5),
        "photos": verdict and verdict.photos,
        "prompts": overall and overall.prompts,
        "error": result.reason,
        "code": result.identity.code,
        "peak_gb": max(step.peak_bytes for step in result.steps if step.name == "export") / 1e9,
    }
