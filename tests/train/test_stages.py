"""The stage with masks: a seed determines the weights, whether or not the run is interrupted."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgekit.errors import BadInput
from edgekit.train.data.annotations import AnnotatedPhoto
from edgekit.train.data.batches import BatchSize
from edgekit.train.stages import driving, held_out
from edgekit.train.stages import masks as mask_stage
from edgekit.train.stages.driving import CurvePoint, StepReport, drive
from edgekit.train.stages.masks import MaskStage
from edgekit.train.stages.schedule import Schedule, frames_schedule, windows_schedule
from edgekit.train.stages.student import Student

TINY = ((1.0, BatchSize(size=64, windows=1, prompts=2)),)
SETTINGS = {"student": "tiny", "seed": "0"}


def tiny_schedule(steps: int) -> Schedule:
    schedule = windows_schedule(steps)
    phases = (replace(p, sizes=TINY, corrections=0.5) for p in schedule.phases)
    return replace(schedule, phases=tuple(phases), warmup=2)


class Recorder:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.curve: list[CurvePoint] = []

    def stage_started(self, stage: str, *, step: int, steps: int) -> None:
        self.started = (stage, step, steps)

    def step_done(self, report: StepReport, *, loss: float) -> None:
        assert loss > 0
        self.steps.append(report.step)

    def measured(self, point: CurvePoint) -> None:
        self.curve.append(point)

    def warning(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def trainer(student: Student, photos: tuple[AnnotatedPhoto, ...], monkeypatch: pytest.MonkeyPatch):
    """`trainer(steps, seed=0)`: a stage from the same weights each time."""
    monkeypatch.setattr(held_out, "_WINDOWS", BatchSize(size=64, windows=1, prompts=2))
    monkeypatch.setattr(held_out, "_BATCHES", 1)

    def make(steps: int, *, seed: int = 0) -> MaskStage:
        fresh = copy.deepcopy(student)
        return MaskStage(fresh, tiny_schedule(steps), photos[1:], held_out=photos[:1], seed=seed)

    return make


def weights(trainer: MaskStage) -> torch.Tensor:
    both = (trainer.student, trainer.average)
    return torch.cat([p.detach().flatten() for model in both for p in model.parameters()])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(trainer) -> None:
    runs = [trainer(2), trainer(2), trainer(2, seed=1)]
    before = weights(runs[0])
    losses = [[run.run_step().loss for _ in range(2)] for run in runs]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))
    assert not torch.equal(weights(runs[0]), before)


class Stop(Exception):
    pass


class StopAt(Recorder):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.last = step

    def step_done(self, report: StepReport, *, loss: float) -> None:
        super().step_done(report, loss=loss)
        if report.step == self.last:
            raise Stop


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "_SAVE_INTERVAL_S", 0)  # after every step
    monkeypatch.setattr(mask_stage, "_AVERAGE_INTERVAL", 1)
    whole = trainer(4)
    curve = drive(whole, tmp_path / "whole.pt", settings=SETTINGS, observer=Recorder())
    stopped = tmp_path / "stopped.pt"
    with pytest.raises(Stop):
        drive(trainer(4), stopped, settings=SETTINGS, observer=StopAt(3))
    resumed, observer = trainer(4), Recorder()
    again = drive(resumed, stopped, settings=SETTINGS, observer=observer)
    assert observer.started == ("masks", 2, 4)
    assert observer.steps == [3, 4]
    assert torch.equal(weights(whole), weights(resumed))
    assert again == curve
    assert [point.step for point in curve] == [1, 2, 3, 4]
    assert set(curve[-1].held_out) == {"box", "point", "best_of_three"}


def test_smoothing_starts_again_with_each_phase(trainer, tmp_path: Path) -> None:
    alone = trainer(3)
    losses = [alone.run_step().loss for _ in range(2)]  # "point" is the first step, then "small"
    curve = drive(trainer(3), tmp_path / "a.pt", settings=SETTINGS, observer=Recorder())
    assert [point.phase for point in curve] == ["point", "small", "large"]
    assert [point.loss for point in curve[:2]] == losses


def test_the_average_lags_behind_the_student(trainer) -> None:
    run = trainer(10)
    start = weights(run)[: len(weights(run)) // 2]
    for _ in range(5):
        run.run_step()
    student, average = weights(run).chunk(2)
    assert 0 < (average - start).norm() < (student - start).norm()


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused(trainer, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    drive(trainer(1), path, settings=SETTINGS, observer=Recorder())
    with pytest.raises(BadInput, match="another seed"):
        drive(trainer(1), path, settings={**SETTINGS, "seed": "7"}, observer=Recorder())
    longer = trainer(2)  # more steps are not another run
    drive(longer, path, settings=SETTINGS, observer=Recorder())
    assert longer.step == 2


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_refused(trainer, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        drive(trainer(1), path, settings=SETTINGS, observer=Recorder())


def test_phases_follow_each_other_to_the_frame() -> None:
    schedule = windows_schedule(100)
    names = [schedule.phase(step).name for step in (0, 19, 20, 59, 60, 87, 88, 99, 100)]
    assert names == ["point"] * 2 + ["small"] * 2 + ["large"] * 2 + ["frame"] * 3
    for each in (schedule, frames_schedule(100)):
        for phase in each.phases:
            assert sum(chance for chance, _ in phase.sizes) == pytest.approx(1)
            assert sum(phase.mix) == pytest.approx(1)
    assert {s.size for p in frames_schedule(9).phases for _, s in p.sizes} == {1024}
