"""The table of verified pairs, as it is shipped."""

from __future__ import annotations

from dataclasses import asdict, replace

from edgekit import catalog, store
from edgekit.models import registry
from edgekit.models.verified import (
    Verification,
    conclusive_targets,
    verifications,
    verified_targets,
)


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
