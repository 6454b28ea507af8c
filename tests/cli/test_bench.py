"""What `bench` and `doctor` show."""

from __future__ import annotations

import json

import pytest

from edgekit import pipeline
from edgekit.benchmark.figures import CURVE, Figures, Part, Task, timing_of


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
