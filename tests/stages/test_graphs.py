"""Which targets share the graphs of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.catalog import target
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.program.programs import Programs
from edgekit.records import CalibrationRecord, Precision, PrecisionPlan
from edgekit.stages import graphs
from edgekit.store import write_records

INT8 = PrecisionPlan(
    asked=Precision.INT8,
    recipe="int8",
    parts=(),
    calibration=CalibrationRecord(name="photos", photos=(), prompts=0, sha256="0" * 64),
)


@pytest.mark.parametrize(
    ("names", "plan", "built"),
    [
        (("x86-fp32", "x86-ort-fp32"), None, 1),
        (("jetson-int8", "rtx3090-int8"), INT8, 1),
        (("x86-int8", "x86-ort-int8"), INT8, 2),  # their float weights and biases differ
        (("jetson-fp16", "jetson-nano-fp16"), None, 2),  # their opsets differ
        (("x86-fp32", "android-fp32"), None, 2),
    ],
)
def test_targets_share_the_graphs_of_which_they_need_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    names: tuple[str, ...],
    plan: PrecisionPlan | None,
    built: int,
) -> None:
    folders: list[Path] = []

    def build(folder: Path, *_: object) -> None:
        folders.append(folder)
        write_records(folder / "graphs.json", ())
        write_records(folder / "origins.json", ())

    monkeypatch.setattr(graphs, "_build", build)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    row = registry.model("nanosam")
    for name in names:
        profile = target(name)
        programs = Programs(row, locate(row, ("seeded",)), profile.prompt_shapes)
        graphs.lower_graphs(programs, profile, plan)
    assert len(folders) == built
