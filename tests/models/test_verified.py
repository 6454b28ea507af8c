"""The table of verified pairs, as it is shipped, and the results that it is made of.

`UPDATE_README=1 pytest tests/models/test_verified.py` writes it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import edgekit
from edgekit import catalog, store
from edgekit.matrix import MatrixRequest, Measure, run_matrix
from edgekit.models import registry
from edgekit.models.verified import (
    Verification,
    conclusive_targets,
    verifications,
    verified_targets,
)
from tests.benchmarks.measured import measured_rows, verified_text
from tests.matrix.fakes import FakeFleet, FakeWatch, export_error, missed, passed

TABLE = Path(edgekit.__file__).with_name("models") / "verified.json"


def test_the_table_is_made_of_the_results() -> None:
    text = verified_text(measured_rows())
    if os.environ.get("UPDATE_README"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text, "UPDATE_README=1 pytest tests/models/test_verified.py"


def test_every_row_has_a_known_pair_and_a_complete_outcome():
    models = {row.name for row in registry.models()}
    for row in verifications():
        assert row.model in models
        target = catalog.target(row.target)
        assert row.weights in {"seeded", "bundled", "official"}
        assert (row.error is None) == row.passed, row
        if row.passed:
            assert row.how != "not run"
            assert row.mean_iou is not None
            assert row.min_iou is not None
            assert row.mean_iou >= target.gate.mean_iou
            assert row.min_iou >= target.gate.min_iou


def test_each_pair_occurs_once_per_kind_of_weights():
    pairs = [(row.model, row.target, row.weights) for row in verifications()]
    assert len(pairs) == len(set(pairs))


def test_rows_are_valid_records(tmp_path):
    store.write_records(tmp_path / "rows.json", verifications())
    assert store.read_records(tmp_path / "rows.json", Verification) == verifications()
    assert asdict(verifications()[0]).keys() == Verification.__dataclass_fields__.keys()


MISSED = Verification(
    model="m",
    target="x86-fp32",
    passed=False,
    how="native",
    mean_iou=0.5,
    min_iou=0.1,
    photos=1,
    prompts=10,
    weights="seeded",
    edgekit="0",
    date="2026-01-01",
    error="mean IoU",
)


def test_a_failed_or_unknown_pair_is_not_verified(monkeypatch):
    monkeypatch.setattr("edgekit.models.verified.verifications", lambda: (MISSED,))
    assert conclusive_targets("m") == ("x86-fp32",)
    assert verified_targets("m") == ()
    assert verified_targets("another") == ()


def test_random_weights_are_conclusive_for_fp32_only():
    int8 = replace(MISSED, target="x86-int8")
    assert MISSED.conclusive
    assert not int8.conclusive
    assert replace(int8, passed=True).conclusive
    assert replace(int8, weights="bundled").conclusive
    assert replace(int8, mean_iou=None, min_iou=None).conclusive, "it did not run"


EARLIER = """\
{"kind": "verify", "model": "nanosam", "target": "x86-fp32", "weights": "seeded", "passed": false}
{"kind": "verify", "model": "tinysam", "target": "x86-fp32", "weights": "seeded", "passed": true}
"""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Rows without digests."""
    path = tmp_path / "earlier.jsonl"
    path.write_text(EARLIER)
    return path


def run(results: Path, outcomes: object = None, weights: str = "seeded") -> None:
    request = MatrixRequest(
        models=("nanosam",),
        targets=("x86-fp32,x86-int8,jetson-fp16",),
        weights={"*": (weights,)},
        measures=(Measure.VERIFY, Measure.BENCH),
        results=results,
    )
    run_matrix(request, FakeFleet(outcomes), watch=FakeWatch())


def test_results_replace_rows_without_digests(tmp_path: Path, earlier: Path) -> None:
    refused, unable = (export_error(kind, "why") for kind in ("NotYet", "RuntimeMissing"))
    outcomes = {"nanosam/x86-fp32": passed(iou=0.9991), "nanosam/x86-int8": refused}
    run(tmp_path / "results", {**outcomes, "nanosam/jetson-fp16": unable})
    rows = measured_rows(tmp_path / "results", earlier)
    (fp32, tinysam, int8) = (row for row in rows if row["kind"] == "verify")
    assert (tinysam["model"], int8["target"]) == ("tinysam", "x86-int8"), (
        "jetson-fp16 has no outcome"
    )
    assert (fp32["passed"], fp32["how"], fp32["mean_iou"]) == (True, "native", 0.9991)
    assert fp32["code"]
    assert (int8["passed"], int8["how"], int8["error"]) == (False, "not run", "why")
    (speed,) = (row for row in rows if row["kind"] == "speed")
    assert (speed["target"], speed["ratio"]) == ("x86-fp32", 10)


def test_a_miss_is_told_with_its_figures(tmp_path: Path, earlier: Path) -> None:
    run(tmp_path / "results", {"nanosam/x86-fp32": missed(iou=0.5)})
    row = measured_rows(tmp_path / "results", earlier)[0]
    assert (row["passed"], row["mean_iou"]) == (False, 0.5)
    assert "below" in row["error"]


def test_weights_of_a_result_must_be_named(tmp_path: Path, earlier: Path) -> None:
    run(tmp_path / "results", weights="seeded:3")
    with pytest.raises(AssertionError, match="run it with --weights"):
        measured_rows(tmp_path / "results", earlier)
