"""What `verify` passes to the pipeline, prints and writes, and its exit code."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import pipeline
from edgekit.records import Execution


@pytest.fixture
def verifies(monkeypatch):
    """Replace the pipeline's verify by one that gives this verdict; returns its requests."""

    def answer(verdict):
        calls = []

        def verify(request, *, report):
            calls.append(request)
            return verdict

        monkeypatch.setattr(pipeline, "verify", verify)
        return calls

    return answer


def test_verify_passes_its_options_to_the_pipeline(run, verifies, verdict):
    calls = verifies(verdict(1.0))
    run("verify", "b", "--photos", "p", "--weights", "seeded", "--min-iou", "0.5")
    run("verify", "b")
    assert calls == [
        pipeline.VerifyRequest(
            bundle=Path("b"), photos=Path("p"), weights=("seeded",), min_iou=0.5
        ),
        pipeline.VerifyRequest(bundle=Path("b")),
    ]


@pytest.mark.parametrize(("iou", "code", "word"), [(1.0, 0, "PASSED"), (0.5, 1, "FAILED")])
def test_the_exit_code_of_verify_is_that_of_the_gate(run, verifies, verdict, iou, code, word):
    verifies(verdict(iou))
    result = run("verify", "b")
    assert result.exit_code == code
    assert word in result.stdout


def test_verify_writes_json_to_a_file(run, verifies, verdict, tmp_path):
    verifies(verdict(0.5))
    result = run("verify", "b", "--json", tmp_path / "verdict.json")
    assert result.exit_code == 1
    assert json.loads((tmp_path / "verdict.json").read_text())["overall"]["min_iou"] == 0.5
    assert "FAILED" in result.stdout


def test_verify_writes_only_json_to_stdout(run, verifies, verdict):
    verifies(verdict(1.0))
    result = run("verify", "b", "--json", "-")
    assert json.loads(result.stdout)["passed"] is True
    assert "PASSED" in result.stderr


def test_verify_puts_a_close_up_into_the_json(run, verifies, verdict, monkeypatch):
    monkeypatch.setattr("edgekit.verification.worst_closeup", lambda _: b"a picture")
    asked = ("verify", "b", "--json", "-", "--picture", "-")
    verifies(verdict(0.5))
    assert json.loads(run(*asked).stdout)["closeup"] is None
    verifies(replace(verdict(0.5), worst_masks=("masks",)))
    told = json.loads(run(*asked).stdout)
    assert b64decode(told["closeup"]) == b"a picture"
    assert "worst_masks" not in told


def test_verify_names_the_stand_in(run, verifies, verdict):
    stand_in = Execution(how="emulated", by="ONNX Runtime 1.24.1", reason="there is no GPU")
    for iou, outcome in ((1.0, "PASSED"), (0.5, "FAILED")):
        verifies(verdict(iou, execution=stand_in))
        shown = run("verify", "b").stdout
        assert "1 photo, emulated by ONNX Runtime 1.24.1" in shown
        assert f"{outcome} (emulated by ONNX Runtime 1.24.1; gate: " in shown
        assert "Emulated because there is no GPU." in shown
