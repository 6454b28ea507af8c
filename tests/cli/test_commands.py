"""What each command prints, and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit import __version__, catalog, pipeline
from edgekit.benchmark.figures import CURVE, Figures, Part, Task, timing_of
from edgekit.catalog import runtimes
from edgekit.errors import EdgekitError, NotYet, RuntimeMissing
from edgekit.models import registry
from edgekit.records import Execution, Gate
from edgekit.verification import not_run
from tests.manifests import change_manifest

COMMANDS = (
    "models",
    "detect",
    "targets",
    "export",
    "verify",
    "predict",
    "inspect",
    "bench",
    "evaluate",
    "matrix",
    "train",
    "doctor",
    "cache",
)
NANOSAM = ("export", "nanosam", "-t", "x86-fp32")


# --- the program ----------------------------------------------------------------------------------


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['edgekit', '--help']\n"
        "from edgekit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'torch', 'onnx', 'pydantic', 'PIL', 'rich', 'openvino'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_version(run):
    assert run("--version").stdout == f"edgekit {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


# --- tables ---------------------------------------------------------------------------------------


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


# --- predict --------------------------------------------------------------------------------------


def test_predict_draws_the_mask(run, bundle, photo, left_half, tmp_path):
    out = tmp_path / "mask.png"
    result = run("predict", bundle, photo, "--point", "20,20", "--point", "80,60,0", "--out", out)
    assert result.exit_code == 0
    assert "50.0%" in result.stdout
    pixels = np.asarray(Image.open(out)).astype(int)
    assert pixels.shape == (120, 160, 3)
    grey = (pixels == 90).all(axis=-1)
    assert grey[:, 120:].all()
    assert not grey[:, :70].any()


def test_predict_as_json(run, bundle, photo, left_half):
    arguments = ("predict", bundle, photo, "--box", "10,10,60,60", "--multimask", "--json")
    told = json.loads(run(*arguments).stdout)
    assert [mask["area_px"] for mask in told["masks"]] == [80 * 120] * 4
    assert told["masks"][0]["score"] == pytest.approx(0.9)
    assert told["picture"] is None


@pytest.mark.parametrize("option", [("--json", "{}.json"), ("--json={}.txt",)])
def test_json_goes_into_a_file_beside_the_table(run, bundle, photo, left_half, option):
    where = [part.format(photo.with_name("told")) for part in option]
    for arguments in ((*where, bundle, photo), (bundle, photo, *where)):
        result = run("predict", "--box", "10,10,60,60", *arguments)
        assert result.exit_code == 0, result.output
        assert "50.0%" in result.stdout
        (file,) = photo.parent.glob("told.*")
        assert len(json.loads(file.read_text())["masks"]) == 1
        file.unlink()


@pytest.mark.parametrize("where", [("--json",), ("--json", "-"), ("--json=-",)])
@pytest.mark.parametrize("command", ["models", "targets", "cache"])
def test_json_is_printed_where_no_file_follows(run, command, where):
    assert json.loads(run(command, *where).stdout)


def test_what_follows_json_and_is_no_json_file_is_an_argument(run, bundle):
    assert json.loads(run("inspect", "--json", bundle).stdout)["schema"]
    assert json.loads(run("models", "--json", "nanosam").stdout)["name"] == "nanosam"


def test_every_box_is_one_object(run, bundle, photo, left_half):
    boxes = ("--box", "10,10,60,60", "--box=-0.4,20,100,120.7", "--box", "70,5,90,30")
    told = json.loads(run("predict", bundle, photo, *boxes, "--json").stdout)
    assert [mask["prompt"] for mask in told["masks"]] == [0, 1, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own, of NumPy 2
def test_masks_in_json_are_coco_run_lengths(run, bundle, photo, left_half):
    told = json.loads(run("predict", bundle, photo, "--box", "10,10,60,60", "--json").stdout)
    rle = told["masks"][0]["rle"]
    decoded = pytest.importorskip("pycocotools.mask").decode(rle)
    assert decoded.shape == (120, 160)
    assert decoded[:, :80].all()
    assert not decoded[:, 80:].any()


def binary(path: Path) -> np.ndarray:
    image = Image.open(path)
    assert (image.mode, image.size) == ("L", (160, 120))
    pixels = np.asarray(image)
    assert set(np.unique(pixels)) == {0, 255}
    return pixels == 255


def test_masks_are_written_as_binary_pictures(run, bundle, photo, left_half, tmp_path):
    boxes = ("--box", "10,10,60,60", "--box", "20,10,60,60")
    command = ("predict", bundle, photo, *boxes, "--json", "--masks")
    for name, files in {
        "one.png": ["one.png", "one-1.png"],
        "masks": ["masks/mask-0.png", "masks/mask-1.png"],
    }.items():
        told = json.loads(run(*command, tmp_path / name).stdout)
        assert [mask["file"] for mask in told["masks"]] == [str(tmp_path / file) for file in files]
        for file in files:
            assert binary(tmp_path / file)[:, :80].all()
            assert not binary(tmp_path / file)[:, 80:].any()


def test_the_files_of_masks_are_named(run, bundle, photo, left_half, tmp_path):
    mask = tmp_path / "mask.png"
    shown = run("predict", bundle, photo, "--point", "9,9", "--masks", mask).stdout
    assert "Masks:" in shown
    assert "mask.png" in shown


def test_a_detector_answers_prompts_or_returns_everything(
    run, detector, photo, two_halves, tmp_path
):
    out = tmp_path / "all.png"
    told = json.loads(run("predict", detector, photo, "--json", "--out", out).stdout)
    assert [each["area"] for each in told["segments"]] == [80 * 120] * 2
    assert [each["predicted_iou"] for each in told["segments"]] == pytest.approx([0.9, 0.8])
    assert (told["strategy"], told["parameters"]) == (None, None)
    assert np.asarray(Image.open(out)).shape == (120, 160, 3)
    for prompt in (("--point", "120,60"), ("--box", "81,0,160,120")):
        told = json.loads(run("predict", detector, photo, *prompt, "--json").stdout)
        assert [mask["score"] for mask in told["masks"]] == pytest.approx([0.8])


def test_many_objects_are_not_all_listed(run, detector, photo, two_halves, monkeypatch):
    monkeypatch.setattr(sys.modules["edgekit.cli.commands.predict"], "MOST_LISTED", 1)
    result = run("predict", detector, photo, "--box", "1,1,9,9", "--box", "90,9,150,90")
    assert "2 masks in all" in result.stdout
    assert "0.800" not in result.stdout


def test_predict_prints_warnings(run, detector, photo, two_halves):
    result = run("predict", detector, photo, "--point", "20,20")
    assert "AGPL-3.0" in result.stderr
    assert "random weights" in result.stderr


# --- export ---------------------------------------------------------------------------------------


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


# --- verify ---------------------------------------------------------------------------------------


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


# --- bench and doctor -----------------------------------------------------------------------------


@pytest.fixture
def fake_bench(monkeypatch):
    """Replace the pipeline's bench: an OpenVINO bundle ran natively, a TensorRT one did not."""
    rows = (("x86-fp32", "openvino 2026.1", "native"), ("jetson-fp16", "tensorrt", EMULATED))
    figures = tuple(
        Figures(
            name=f"nanosam-{target}",
            runtime=runtime,
            execution=execution,
            bytes=10**6,
            timings=tuple(timing_of(task, [0.1, 0.2]) for task in Task),
            parts=dict(zip(Part, (0.011, 0.012, 0.013, 0.014, 0.015), strict=True)),
        )
        for target, runtime, execution in rows
    )
    iou = {row.name: 0.99 for row in figures}
    outcome = pipeline.Bench(
        figures=figures,
        cpu="a CPU",
        threads=2,
        rounds=2,
        iou=iou,
        peak_share={"nanosam-x86-fp32": 1.04},
        notes=("The machine was busier while its peak was measured.",),
    )

    def bench(request, *, report):
        return outcome

    monkeypatch.setattr(pipeline, "bench", bench)


EMULATED = "emulated by ONNX Runtime 1.24.1"


def test_every_row_of_bench_says_what_ran(run, fake_bench):
    rows = [line for line in run("bench", "b").stdout.splitlines() if "nanosam-" in line]
    assert len(rows) == 2 * (len(Task) - len(CURVE) + 1 + len(("parts", "curve", "footprint")))
    assert all(EMULATED in row for row in rows if "jetson" in row)
    assert all(" native " in row for row in rows if "x86" in row)
    listed = json.loads(run("bench", "b", "--json").stdout)["figures"]
    assert [row["execution"] for row in listed] == ["native", EMULATED]


def test_bench_shows_the_parts_of_a_photos_time_and_the_curve(run, fake_bench):
    lines = run("bench", "b").stdout.splitlines()
    parts, curve = (
        next(place for place, line in enumerate(lines) if line.startswith(title))
        for title in ("photo file to mask: medians", "one photo and its boxes")
    )
    assert all(part.value in lines[parts + 1] for part in Part)
    assert lines[parts + 3].split()[2:] == ["11.0", "12.0", "13.0", "14.0", "15.0"]
    assert lines[curve + 1].split() == ["boxes", "ran", "1", "10", "20", "30", "40", "50"]
    assert lines[curve + 3].split()[2:] == ["150.0"] * 6
    (figures, _) = json.loads(run("bench", "b", "--json").stdout)["figures"]
    assert figures["parts"] == {
        "read and decode the file": 0.011,
        "preprocess": 0.012,
        "encoder": 0.013,
        "decoder": 0.014,
        "mask at the photo's size": 0.015,
    }
    assert {t["task"] for t in figures["timings"]} >= {"photo file to 10 masks"}


def test_bench_explains_a_share_above_the_peak(run, fake_bench):
    said = run("bench", "b").stdout
    assert "104%" in said
    assert "busier while its peak was measured" in said


def test_the_plot_of_bench_says_what_ran(run, fake_bench, tmp_path, monkeypatch):
    shown = []

    def save(path, drawn, *, machine):
        shown.extend(drawn)

    monkeypatch.setattr("edgekit.benchmark.picture.require_matplotlib", lambda: None)
    monkeypatch.setattr("edgekit.benchmark.picture.save_picture", save)
    assert run("bench", "b", "--plot", tmp_path / "plot.png").exit_code == 0
    names = [each.name for each in shown]
    assert names == ["nanosam-x86-fp32 (native)", f"nanosam-jetson-fp16 ({EMULATED})"]
    assert [list(each.curve) for each in shown] == [[1, 10, 20, 30, 40, 50]] * 2


def test_doctor_says_what_can_be_made_and_how_it_runs(run, monkeypatch):
    monkeypatch.setattr("edgekit.doctor.diagnosis.load_failure", lambda _: None)
    monkeypatch.setattr("edgekit.runtime.opening.lacks", lambda _: False)
    shown = run("doctor").stdout
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "ready" in rows["openvino"]
    assert "native" in rows["openvino"]
    assert "emulated by ONNX Runtime" in rows["tensorrt"]
    listed = {row["name"]: row for row in json.loads(run("doctor", "--json").stdout)["runtimes"]}
    target = listed["tensorrt"]["targets"][0]
    assert target["runs_here"].startswith("emulated by ONNX Runtime")
    assert target["export"] == "ready"


# --- how a command ends ---------------------------------------------------------------------------


def test_every_error_has_its_exit_code(run, exports):
    error = RuntimeMissing("no runtime", expected="one", next_step="pip install it")
    exports(x86_fp32=error)
    result = run(*NANOSAM)
    assert result.exit_code == 3
    assert result.stderr.endswith("error: no runtime\nExpected: one\nNext: pip install it\n")


def test_a_permission_error_is_one_message(run, exports):
    exports(x86_fp32=PermissionError(13, "Permission denied", "/somewhere/dist"))
    result = run(*NANOSAM)
    assert result.exit_code == 2
    assert "error: Permission denied: /somewhere/dist" in result.stderr


def test_exit_codes():
    def codes(of: type[EdgekitError]) -> set[int]:
        return {of.exit_code}.union(*(codes(child) for child in of.__subclasses__()))

    assert codes(EdgekitError) <= {1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_prints_one_line_and_exits_with_the_signals_code(sent, code):
    program = (
        "import sys, time\n"
        "from edgekit import pipeline\n"
        "def export(request, *, report):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
        "pipeline.export = export\n"
        "sys.argv = ['edgekit', 'export', 'nanosam', '-t', 'x86-fp32']\n"
        "from edgekit.cli import main\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "started\n"
        os.kill(process.pid, sent)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr.strip() == "Interrupted. No incomplete files were left behind."
