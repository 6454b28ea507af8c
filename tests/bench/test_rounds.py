"""Turns, failures and figures, with workers that only record their calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.benchmark import Contestant, compare, rounds
from edgekit.benchmark.figures import MANY, Task, timing_of
from edgekit.benchmark.worker import Worker, WorkerFailed, fixed_boxes, peak_bytes


def contestant(name: str) -> Contestant:
    return Contestant(
        name=name,
        kind="bundle",
        runtime="none 1",
        execution="native",
        bytes=10,
        bundle=Path("nowhere"),
        decodes=name != "detector",
    )


class RecordingWorker:
    """Records its calls. "broken" cannot be loaded, "dies" fails at one task."""

    calls: list[tuple[str, Task]] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, contestant: Contestant, _: Path, *, threads: int) -> None:
        self.name, self.threads = contestant.name, threads

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append((f"{self.name} ends", None))

    def wait_loaded(self) -> float:
        if self.name == "broken":
            raise WorkerFailed("its runtime is not installed")
        return 0.5

    def call(self, task: Task) -> float:
        self.calls.append((self.name, task))
        if self.name == "dies" and task is Task.DECODER_MANY:
            raise WorkerFailed("its process ended with -9")
        return 0.1 if self.name == "quick" else 0.2

    def peak_bytes(self) -> int:
        return 1000


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(rounds, "Worker", RecordingWorker)
    RecordingWorker.calls = []

    def compared(*names: str, count: int = 3):
        return compare([contestant(name) for name in names], Path("p.jpg"), threads=2, rounds=count)

    return compared


def test_a_contestant_without_a_decoder_says_why_decoding_was_not_timed(run):
    figures_of = {figures.name: figures for figures in run("quick", "detector")}
    assert [t.task for t in figures_of["detector"].timings] == [Task.ENCODER, Task.PHOTO]
    assert "no decoder" in figures_of["detector"].left_out
    assert figures_of["detector"].missing is None
    assert figures_of["quick"].left_out is None
    assert [t.task for t in figures_of["quick"].timings] == list(Task)


def test_contestants_take_turns(run):
    run("quick", "slow")
    encoder = [name for name, task in RecordingWorker.calls if task is Task.ENCODER]
    assert encoder == ["quick", "slow"] * (3 + rounds.WARM_UP)


def test_a_slow_task_gets_few_rounds(run, monkeypatch):
    monkeypatch.setattr(rounds, "PATIENCE_S", -1)
    (slow,) = run("slow", count=50)
    assert {timing.runs for timing in slow.timings} == {rounds.FEWEST}


def test_warm_up_calls_are_not_counted(run):
    quick, slow = run("quick", "slow")
    assert quick.timing(Task.ENCODER).runs == 3
    assert slow.timing(Task.ENCODER).p50 == pytest.approx(2 * quick.timing(Task.ENCODER).p50)
    assert quick.first_s[Task.ENCODER] == pytest.approx(0.1)
    assert (quick.load_s, quick.peak_bytes, quick.bytes) == (0.5, 1000, 10)


def test_a_contestant_that_cannot_be_loaded_does_not_stop_the_others(run):
    broken, slow = run("broken", "slow")
    assert broken.missing == "its runtime is not installed"
    assert broken.timings == ()
    assert slow.timing(Task.PHOTO).runs == 3


def test_a_contestant_that_fails_names_the_task(run):
    (dies,) = run("dies")
    assert dies.missing == f"{Task.DECODER_MANY}: its process ended with -9"
    assert [task for _, task in RecordingWorker.calls if task].count(Task.PHOTO) == 0


def test_every_process_ends(run):
    run("quick", "dies")
    assert {name for name, task in RecordingWorker.calls if task is None} == {
        "quick ends",
        "dies ends",
    }


def test_percentiles_and_throughput():
    timing = timing_of(Task.DECODER_MANY, [0.1] * 99 + [1.0])
    assert timing.p50 == timing.p90 == pytest.approx(0.1)
    assert timing.p99 > 0.1
    assert timing.per_second == pytest.approx(MANY / 0.1)


def test_boxes_lie_on_the_photo_and_have_an_area():
    boxes = np.array(fixed_boxes(60, 100))
    assert boxes.shape == (MANY, 4)
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 100
    assert boxes[:, 3].max() <= 60


def test_a_real_process_reports_why_it_failed():
    with (
        Worker(contestant("gone"), Path("p.jpg"), threads=1) as worker,
        pytest.raises(WorkerFailed, match="nowhere"),
    ):
        worker.wait_loaded()


def test_memory_of_this_process():
    assert 10**7 < peak_bytes() < 10**11
