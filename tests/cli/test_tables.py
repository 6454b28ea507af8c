"""What `models`, `targets` and `inspect` show."""

from __future__ import annotations

import json
from dataclasses import replace

from edgekit import catalog
from edgekit.catalog import runtimes
from edgekit.models import registry
from tests.manifests import change_manifest


def test_models(run):
    shown = run("models").stdout
    for word in ("nanosam", "mobilesam", "19.9 M", "43.6", "1024", "Apache-2.0", "onnx"):
        assert word in shown
    listed = json.loads(run("models", "--json").stdout)
    assert [row["name"] for row in listed[:2]] == ["nanosam", "mobilesam"]
    assert listed[0]["forms"] == ["state dict", "safetensors", "onnx"]


def test_models_lists_only_targets_that_passed(run, monkeypatch):
    from edgekit.models import verified

    def outcome(target: str, **figures) -> verified.Verification:
        fixed = dict(photos=1, prompts=9, edgekit="0.1.0", date="2026-11-21")
        told = {"weights": "seeded", **fixed, **figures}
        return verified.Verification(model="mobilesam", target=target, **told)

    good, bad = {"mean_iou": 0.998, "min_iou": 0.99}, {"mean_iou": 0.6, "min_iou": 0.1}
    rows = (
        outcome("x86-fp32", passed=True, how="native", error=None, **good),
        outcome("x86-int8", passed=False, how="native", error="mean IoU 0.6 is below", **bad),
        outcome("android-int8", passed=False, how="native", error="no", weights="official", **bad),
        outcome("iphone-fp16", passed=True, how="emulated", error=None, **good),
        outcome(
            "android-fp32", passed=False, how="not run", error="no", mean_iou=None, min_iou=None
        ),
    )
    monkeypatch.setattr(verified, "verifications", lambda: rows)
    ends = [line.rstrip()[-13:].strip() for line in run("models").stdout.splitlines()]
    assert {"fp32: x86", "fp16: iphone"} < set(ends)
    assert not [end for end in ends if end.startswith("int8:")]
    shown = run("models", "mobilesam").stdout
    for told in (
        "x86-fp32: passed, IoU mean 0.9980, min 0.9900 (native, seeded weights",
        "x86-int8: exported and ran; random weights show no more, IoU mean 0.6000",
        "android-int8: failed, IoU mean 0.6000, min 0.1000",
        "iphone-fp16: passed, IoU mean 0.9980, min 0.9900 (emulated",
        "android-fp32: failed, no",
        "other targets: not run",
    ):
        assert told in shown
    listed = json.loads(run("models", "mobilesam", "--json").stdout)
    assert [row["target"] for row in listed["verifications"]] == [row.target for row in rows]


def test_outcomes_of_other_code_are_told_as_stale(run, monkeypatch):
    from edgekit.matrix.identity import code_of
    from edgekit.models import verified

    row = next(each for each in verified.verifications() if each.mean_iou is not None)
    present = code_of(registry.model(row.model), catalog.target(row.target))
    for code, stale in ((present, False), ("of other code", True), (None, True)):
        rows = (replace(row, code=code),)
        monkeypatch.setattr(verified, "verifications", lambda rows=rows: rows)
        shown = run("models", row.model).stdout
        assert (f"{row.date}, stale)" in shown) is stale
        assert ("runs it anew" in shown) is stale


def test_one_model_in_full(run):
    shown = run("models", "mobilesam").stdout
    for word in ("TinyViT", "38.8 GMACs on 1024 x 1024", "mobile_sam.pt, 40.7 MB", "2306.14289"):
        assert word in shown
    assert "none are public" in run("models", "supersam").stdout
    assert json.loads(run("models", "edgesam", "--json").stdout)["encoder_gmacs"] == 20.1
    assert run("models", "edgesamm").exit_code == 2


def test_targets_says_what_can_be_made_and_how_it_runs(run, monkeypatch):
    row = replace(runtimes.runtime_row("coreml"), precisions=())
    monkeypatch.setattr(runtimes, "RUNTIMES", {**runtimes.RUNTIMES, "coreml": row})
    shown = run("targets").stdout
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert rows["x86-fp32"].rstrip().endswith("native")
    assert "emulated by ONNX Runtime" in rows["jetson-fp16"]
    listed = {row["name"]: row for row in json.loads(run("targets", "--json").stdout)}
    assert (listed["x86-fp32"]["export"], listed["x86-fp32"]["runs_here"]) == ("ready", "native")
    assert listed["jetson-fp16"]["runs_here"].startswith("emulated by ONNX Runtime")
    assert listed["iphone-fp16"]["export"] == "edgekit cannot make fp16 for Core ML"


def test_one_target_in_full(run):
    shown = run("targets", "jetson-fp16").stdout
    for word in ("JetPack 6", "tensorrt", "0.995", "p5_iou"):
        assert word in shown
    assert json.loads(run("targets", "jetson-fp16", "--json").stdout)["runtime"] == "tensorrt"


def test_inspect(run, bundle):
    shown = run("inspect", bundle).stdout
    for word in ("nanosam for x86-fp32", "1 x 3 x 1024 x 1024", "prompts x 4", "fp32", "seed 0"):
        assert word in shown
    assert "WARNING: random weights" in shown
    assert "Op00 x20" in shown
    assert "and 4 more kinds" in shown
    manifest = json.loads(run("inspect", bundle, "--json").stdout)
    assert manifest == json.loads((bundle / "manifest.json").read_text())


def test_inspect_says_which_file_gave_which_tensors(run, bundle):
    names = ("whole.pt", "mine.pt", "model-1.pt", "model-2.pt")
    weights = {
        "kind": "path",
        "files": [{"path": name, "sha256": "ab" * 32, "bytes": 1} for name in names],
        "origins": [
            {"files": [0], "role": "encoder", "tensors": 176, "prefixes": ["backbone.", "pos"]},
            {"files": [1], "role": "decoder", "tensors": 120, "prefixes": ["mask_decoder."]},
            {"files": [2, 3], "role": "decoder", "tensors": 9, "prefixes": ["prompt_encoder."]},
        ],
    }
    change_manifest(bundle, lambda manifest: manifest["weights"].update(weights))
    shown = run("inspect", bundle, env={"COLUMNS": "200"}).stdout
    assert shown.index("whole.pt") < shown.index("encoder: 176 tensors (backbone.*, pos)")
    assert shown.index("mine.pt") < shown.index("decoder: 120 tensors (mask_decoder.*)")
    assert "decoder: 9 tensors of all 2 shards (prompt_encoder.*)" in shown
