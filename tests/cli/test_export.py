"""What `export` passes to the pipeline and prints, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

from edgekit import pipeline
from edgekit.errors import NotYet
from edgekit.records import Gate
from edgekit.verification import not_run

ROOT = Path(__file__).resolve().parents[2]
NANOSAM = ("export", "nanosam", "-t", "x86-fp32")


def test_export_passes_its_options_to_the_pipeline(run, exports, verdict, tmp_path):
    requests = exports(x86_fp32=None)
    weights = ("--weights", "a.onnx", "--weights", "b.pt")
    result = run(*NANOSAM, *weights, "--out", tmp_path, "--force", "--no-verify")
    assert result.exit_code == 0
    assert requests == [
        pipeline.ExportRequest(
            model="nanosam",
            target="x86-fp32",
            weights=("a.onnx", "b.pt"),
            out=tmp_path,
            force=True,
            verify=False,
        )
    ]
    assert f"edgekit verify {tmp_path}/nanosam-x86-fp32" in result.stdout


def test_a_profile_of_the_users_is_a_target(run, exports, tmp_path):
    text = (ROOT / "targets" / "x86-ort-fp32.toml").read_text()
    mine = tmp_path / "mini_pc.toml"
    mine.write_text(text.replace('"x86-ort-fp32"', '"mini_pc"'))
    assert run("targets", mine, "--json").exit_code == 0
    requests = exports(**{str(mine).replace("-", "_"): None})
    assert run("export", "nanosam", "-t", mine, "--no-verify").exit_code == 0
    assert [request.target for request in requests] == [str(mine)]
    missing = run("export", "nanosam", "-t", mine, "-t", tmp_path / "other.toml")
    assert (missing.exit_code, len(requests)) == (2, 1)
    assert "other.toml: No such file" in missing.stderr


def test_export_passes_int8_options_to_the_pipeline(run, exports):
    requests, photos = exports(x86_int8=None), "my_photos"
    run("export", "nanosam", "-t", "x86-int8", "--float-fallback", "--calibration", photos)
    assert (requests[0].float_fallback, requests[0].calibration) == (True, photos)


def test_export_defaults(run, exports, verdict):
    requests = exports(x86_fp32=verdict(1.0))
    run(*NANOSAM)
    assert requests == [pipeline.ExportRequest(model="nanosam", target="x86-fp32")]


def test_export_prints_the_verdict(run, exports, verdict):
    exports(x86_fp32=verdict(1.0, 0.9995))
    result = run(*NANOSAM)
    assert result.exit_code == 0
    for word in ("PASSED", "native", "0.99950", "dist/nanosam-x86-fp32"):
        assert word in result.stdout


def test_a_failed_gate_is_explained_and_has_exit_code_1(run, exports, verdict):
    exports(x86_fp32=verdict(1.0, 0.25))
    result = run(*NANOSAM)
    assert result.exit_code == 1
    for word in ("FAILED", "minimum IoU 0.25000 is below 0.99", "desk.jpg", "--point 12,34,1"):
        assert word in result.stdout


def test_not_run_has_exit_code_3(run, exports):
    exports(x86_fp32=not_run("no such runtime here", gate=Gate(mean_iou=0.9, min_iou=0.9)))
    result = run(*NANOSAM)
    assert result.exit_code == 3
    assert "NOT RUN" in result.stdout
    assert "no such runtime here" in result.stdout


def test_stages_and_warnings_go_to_stderr(run, exports, verdict):
    exports(x86_fp32=verdict(1.0))
    result = run(*NANOSAM, "--json")
    for word in ("weights: 0.0 s", "verify: 0.0 s", "WARNING", "the stand-in was taken", "╭"):
        assert word in result.stderr
    (told,) = json.loads(result.stdout)
    assert told["bundle"] == "dist/nanosam-x86-fp32"
    assert told["verdict"]["passed"] is True


def test_a_terminal_shows_live_stages_and_warnings(run, exports, verdict):
    exports(x86_fp32=verdict(1.0))
    result = run(*NANOSAM, env={"FORCE_COLOR": "1", "TTY_INTERACTIVE": "1"})
    for word in ("✓", "weights", "verify", "WARNING", "the stand-in was taken"):
        assert word in result.stderr


def test_several_targets_and_one_that_cannot_be_made(run, exports, verdict):
    exports(x86_fp32=verdict(1.0), x86_int8=NotYet("int8 is not there yet"))
    result = run("export", "nanosam", "-t", "x86-int8", "-t", "x86-fp32", "--json")
    assert result.exit_code == 3
    assert "int8 is not there yet" in result.stderr
    failed, made = json.loads(result.stdout)
    assert (failed["target"], failed["bundle"]) == ("x86-int8", None)
    assert (failed["error"], failed["error_kind"]) == ("int8 is not there yet", "NotYet")
    assert made["bytes"] > 0
    assert made["verdict"]["passed"] is True


def test_a_repeated_target_is_exported_once(run, exports, verdict):
    requests = exports(x86_fp32=verdict(1.0))
    run(*NANOSAM, "-t", "x86-fp32")
    assert len(requests) == 1
