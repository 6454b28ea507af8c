"""The stage with masks: a seed determines the weights, whether or not the run is interrupted."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgekit.errors import BadInput
from edgekit.train.data.batches import BatchSize, make_batch
from edgekit.train.data.canvases import canvas_of, stacked
from edgekit.train.data.random_numbers import generator_for
from edgekit.train.stages import driving, held_out
from edgekit.train.stages import masks as mask_stage
from edgekit.train.stages.driving import CurvePoint, StepReport, drive
from edgekit.train.stages.masks import MaskStage
from edgekit.train.stages.schedule import Schedule, schedule_for
from edgekit.train.stages.student import Student

TINY = ((1.0, BatchSize(frames=1, prompts=2, zoom=16)),)
SETTINGS = {"student": "tiny", "seed": "0"}


def tiny_schedule(steps: int) -> Schedule:
    schedule = schedule_for(steps, frames=1, refines=False, any_size=True)
    phases = (replace(p, sizes=TINY, corrections=0.5) for p in schedule.phases)
    return replace(schedule, phases=tuple(phases), warmup=2)


@pytest.mark.parametrize(("frames", "share"), [(1, 0.25), (4, 0.5), (16, 1.0), (64, 1.0)])
def test_few_frames_refine_at_lower_rates(frames: int, share: float) -> None:
    schedule = schedule_for(10, frames=frames, refines=True, any_size=True)
    assert schedule.rate == pytest.approx(4e-4 * share)
    assert schedule.backbone_rate == pytest.approx(3e-4 * share)
    assert schedule_for(10, frames=frames, refines=False, any_size=True).rate == 6e-4


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
def trainer(student: Student, photos: tuple, monkeypatch: pytest.MonkeyPatch):
    """`trainer(steps, seed=0)`: a stage from the same weights each time."""
    monkeypatch.setattr(held_out, "_SIZE", TINY[0][1])
    first, *rest = map(canvas_of, photos)
    data, measured = stacked(rest), stacked([first])

    def make(steps: int, *, seed: int = 0) -> MaskStage:
        fresh = copy.deepcopy(student)
        return MaskStage(fresh, tiny_schedule(steps), data, held_out=measured, seed=seed)

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
    losses = [alone.run_step().loss for _ in range(2)]  # "point" is the first step, then "coarse"
    curve = drive(trainer(3), tmp_path / "a.pt", settings=SETTINGS, observer=Recorder())
    assert [point.phase for point in curve] == ["point", "coarse", "fine"]
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


def zooms(schedule: Schedule) -> list[set[int]]:
    return [{size.zoom for _, size in phase.sizes} for phase in schedule.phases]


@pytest.mark.parametrize("refines", [False, True])
@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize("frames", [1, 16])
def test_phases_end_with_whole_frames(refines: bool, any_size: bool, frames: int) -> None:
    schedule = schedule_for(100, frames=frames, refines=refines, any_size=any_size)
    for phase in schedule.phases:
        assert sum(chance for chance, _ in phase.sizes) == pytest.approx(1)
        assert sum(phase.mix) == pytest.approx(1)
        for _, size in phase.sizes:
            assert size.side == 1024 // size.zoom
            assert size.frames == frames * {1: 1, 2: 3, 4: 8}[size.zoom]
    last = schedule.phases[-1]
    assert (last.name, last.frozen_norm, last.until) == ("frame", True, 1.0)
    if not any_size:
        assert zooms(schedule) == [{1}] * len(schedule.phases)


def test_a_new_student_begins_coarse() -> None:
    schedule = schedule_for(100, frames=1, refines=False, any_size=True)
    assert zooms(schedule) == [{4}, {4, 2}, {4, 2, 1}, {2, 1}]
    names = [schedule.phase(step).name for step in (0, 19, 20, 59, 60, 87, 88, 99, 100)]
    assert names == ["point"] * 2 + ["coarse"] * 2 + ["fine"] * 2 + ["frame"] * 3


def test_what_there_is_nothing_to_learn_from_has_no_weight(trainer) -> None:
    phase = tiny_schedule(1).phases[0]
    logits, scores = torch.randn(2, 4, 8, 8), torch.rand(2, 4)
    batch = make_batch(
        trainer(1)._photos,
        generator_for(0, device=torch.device("cpu")),
        shape=BatchSize(frames=1, prompts=2, zoom=32),
        style=phase.style,
        mix=phase.mix,
    )
    first = replace(batch, usable=torch.tensor([True, False]))
    changed = torch.cat([logits[:1], logits[1:] + 5])
    loss = mask_stage._mean_loss(logits, scores, first, phase)
    assert loss == mask_stage._mean_loss(changed, scores, first, phase)
    assert loss != mask_stage._mean_loss(changed[[1, 0]], scores, first, phase)
    none = replace(batch, usable=torch.tensor([False, False]))
    assert mask_stage._mean_loss(logits, scores, none, phase) == 0


@pytest.mark.slow
def test_masks_are_learned(trainer) -> None:
    run = trainer(60)
    phase = replace(run._schedule.phases[0], until=1.0, corrections=0.0)
    run._schedule = replace(run._schedule, phases=(phase,))
    losses = [run.run_step().loss for _ in range(60)]
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])
