"""`edgekit train` on the command line, with a schedule of a few small steps."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from edgekit.cli import app, training
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import load
from edgekit.models.registry import model
from edgekit.train import run
from edgekit.train.data.batches import BatchSize
from edgekit.train.result.curve import can_plot
from edgekit.train.stages import held_out
from edgekit.train.stages.driving import CurvePoint, StepReport
from edgekit.train.stages.schedule import Schedule, schedule_for

TINY = ((1.0, BatchSize(frames=2, prompts=2, zoom=16)),)


def train(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["train", *(str(a) for a in arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback, not a message
    return result


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(steps: int, **options: Any) -> Schedule:
        whole = schedule_for(steps, **options)
        return replace(whole, phases=tuple(replace(p, sizes=TINY) for p in whole.phases))

    monkeypatch.setattr(run, "schedule_for", tiny)
    monkeypatch.setattr(held_out, "_SIZE", TINY[0][1])


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_masks_then_more_steps(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = train("nanosam", "--annotations", coco, "--out", out, "--steps", 1)
    assert first.exit_code == 0, first.output
    assert "masks: starts" in first.stderr
    assert "held-out: box" in first.stderr
    assert f"--weights {out / 'nanosam.safetensors'}" in first.stdout
    again = train("nanosam", "--annotations", coco, "--out", out, "--steps", 2, "--json")
    assert "resumes at step 1" in again.stderr
    output = json.loads(again.stdout)
    assert 0 <= output["held_out"]["box"] <= 1
    row = model("nanosam")
    load(row, locate(row, (output["weights"],)))
    assert bool(output["curve"]) == can_plot()
    if output["curve"]:
        with Image.open(output["curve"]) as curve:
            assert curve.size == (960, 720)
    else:
        assert "no curve.png" in again.stderr
    assert "--steps 2" in Path(output["card"]).read_text()
    other = train("nanosam", "--annotations", coco, "--out", out, "--seed", 1)
    assert other.exit_code == 2
    assert "another seed" in other.stderr


def test_a_terminal_shows_a_bar_with_loss_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=160)
    monkeypatch.setattr(training, "console", lambda _: terminal)
    with training.observing() as observer:
        observer.stage_started("masks", step=3, steps=9)
        observer.step_done(StepReport(step=4, phase="point", loss=9.0, seconds=1.0), loss=2.125)
        observer.measured(
            CurvePoint(step=4, phase="point", loss=2.0, held_out={"best_of_three": 0.5})
        )
        observer.warning("no curve")
    shown = terminal.file.getvalue()
    assert "4/9" in shown
    assert "point loss 2.125" in shown
    assert "best of three 0.500" in shown
    assert "warning: no curve" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nanosam",), "nothing to learn from"),
        (("nanosm", "--annotations", "COCO"), "nanosam"),
        (("nanosam", "--annotations", "missing.json"), "missing.json"),
        (("nanosam", "--teacher", "efficientnet-lite2", "--photos", "."), "needs its weights"),
        (("nanosam", "--teacher", "nosuch", "--photos", "."), "nosuch"),
        (("nanosam", "--teacher", "nanosam", "--teacher-weights", "seeded"), "no photos"),
        (("nanosam", "--annotations", "COCO", "--init", "missing.pt"), "missing.pt"),
        (
            ("sam2_hiera_t", "--annotations", "missing.json"),
            "its decoder is not the original SAM's",
        ),
        (("fastsam_s", "--annotations", "missing.json"), "it has no decoder"),
        (("nanosam", "--teacher", "sam2_hiera_t", "--photos", "."), "cannot teach"),
        (("nanosam", "--annotations", "COCO", "--teacher-steps", "9"), "steps with --teacher"),
        (("nanosam", "--annotations", "COCO", "--teacher-weights", "x"), "weights with --teacher"),
        (("nanosam", "--teacher", "mobilesam", "--batch", "2"), "--batch with --annotations"),
        (("nanosam", "--teacher", "mobilesam", "--steps", "2"), "--steps with --annotations"),
        (("nanosam", "--proposals"), "learns from annotated objects"),
        (("nanosam", "--proposals", "--annotations", "COCO"), "its weights: --init"),
        (("nanosam", "--proposals", "--teacher", "mobilesam"), "--proposals without --teacher"),
        (("nanosam", "--proposals", "--batch", "2"), "--proposals without --batch"),
        (("nanosam", "--proposals", "--teacher-steps", "9"), "--proposals without --teacher-steps"),
        (
            ("fastsam_s", "--proposals", "--annotations", "COCO", "--init", "seeded"),
            "cannot have a proposal network",
        ),
    ],
)
def test_mistakes_end_with_a_message(
    coco: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    filled = [str(coco) if a == "COCO" else a for a in arguments]
    result = train(*filled, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
