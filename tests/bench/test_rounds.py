"""Turns, failures and figures, with workers that only record their calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.benchmark import Conditions, Contestant, compare, rounds
from edgekit.benchmark.figures import CURVE, MANY, Part, Task, median_parts, timing_of
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

    def parts(self) -> dict[Part, float]:
        return dict.fromkeys(Part, 0.01)

    def peak_bytes(self) -> int:
        return 1000


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(rounds, "Worker", RecordingWorker)
    RecordingWorker.calls = []

    def compared(*names: str, count: int = 3, **options):
        conditions = Conditions(photo=Path("p.jpg"), threads=2, rounds=count)
        return compare([contestant(name) for name in names], conditions, **options)

    return compared


def test_a_contestant_without_a_decoder_says_why_decoding_was_not_timed(run):
    figures_of = {figures.name: figures for figures in run("quick", "detector")}
    assert [t.task for t in figures_of["detector"].timings] == [Task.ENCODER, *CURVE]
    assert "no decoder" in figures_of["detector"].left_out
    assert figures_of["detector"].missing is None
    assert figures_of["quick"].left_out is None
    assert [t.task for t in figures_of["quick"].timings] == list(Task)


def test_contestants_take_turns(run):
    run("quick", "slow")
    encoder = [name for name, task in RecordingWorker.calls if task is Task.ENCODER]
    assert encoder == ["quick", "slow"] * (3 + rounds.WARM_UP)


def test_the_points_of_the_curve_are_measured_beside_each_other_in_few_rounds(run):
    figures = run("quick", "slow", count=9)
    longer = [call for call in RecordingWorker.calls if call[1] in CURVE[1:]]
    one_round = [(name, task) for task in CURVE[1:] for name in ("quick", "slow")]
    assert longer == one_round * (rounds.CURVE_ROUNDS + 1)
    assert {f.timing(task).runs for f in figures for task in CURVE[1:]} == {rounds.CURVE_ROUNDS}
    assert [task.prompts for task in CURVE] == [1, 10, 20, 30, 40, 50]


def test_the_peak_takes_turns_with_the_encoders(run):
    class Peak:
        def take_turn(self) -> None:
            RecordingWorker.calls.append(("peak", Task.ENCODER))

    run("quick", "slow", peak=Peak())
    encoder = [name for name, task in RecordingWorker.calls if task is Task.ENCODER]
    assert encoder == ["quick", "slow", "peak"] * (3 + rounds.WARM_UP)
    assert ("peak", Task.ENCODER) not in RecordingWorker.calls[-10:]


def test_progress_counts_every_round_once(run):
    told = []
    run("quick", on_round=lambda done, total: told.append((done, total)))
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert set(told) >= {(0, 15), (15, 15)}  # four tasks and the curve, three rounds each


def test_a_slow_task_gets_few_rounds(run, monkeypatch):
    monkeypatch.setattr(rounds, "PATIENCE_S", -1)
    (slow,) = run("slow", count=50)
    assert {slow.timing(task).runs for task in CURVE[1:]} == {1}
    assert {t.runs for t in slow.timings if t.task not in CURVE[1:]} == {rounds.FEWEST}


def test_warm_up_calls_are_not_counted(run):
    quick, slow = run("quick", "slow")
    assert quick.timing(Task.ENCODER).runs == 3
    assert slow.timing(Task.ENCODER).p50 == pytest.approx(2 * quick.timing(Task.ENCODER).p50)
    assert quick.first_s[Task.ENCODER] == pytest.approx(0.1)
    assert (quick.load_s, quick.peak_bytes, quick.bytes) == (0.5, 1000, 10)
    assert quick.parts == dict.fromkeys(Part, 0.01)


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


def test_parts_are_medians():
    runs = [dict.fromkeys(Part, seconds) for seconds in (0.3, 0.1, 0.2)]
    assert median_parts(runs) == dict.fromkeys(Part, 0.2)
    assert median_parts([]) == {}


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
