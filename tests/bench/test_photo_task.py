"""The parts of a photo's time, and threads that sleep when a turn ends."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.benchmark import idle
from edgekit.benchmark.contestant import Opened
from edgekit.benchmark.figures import Part
from edgekit.benchmark.idle import wait_until_idle
from edgekit.benchmark.photo_task import PhotoTask
from edgekit.models import registry
from edgekit.records import Feeds, FloatArray
from edgekit.runtime import Prompt

ENCODER_S, DECODER_S = 0.05, 0.02


class SleepingEncoder:
    """Features of zeros, after `ENCODER_S`."""

    def run(self, _: Feeds) -> dict[str, FloatArray]:
        time.sleep(ENCODER_S)
        return {"image_embeddings": np.zeros((1, 256, 64, 64), np.float32)}


class SleepingDecoder:
    """Masks of zeros, after `DECODER_S` for each prompt."""

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        prompts = len(feeds["point_coords"])
        time.sleep(DECODER_S * prompts)
        return {
            "low_res_masks": np.zeros((prompts, 4, 256, 256), np.float32),
            "iou_predictions": np.zeros((prompts, 4), np.float32),
        }


@pytest.fixture
def photo_task(tmp_path: Path) -> PhotoTask:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 48)).save(path)
    opened = Opened(
        client=registry.model("nanosam").client,
        encoder=SleepingEncoder(),
        decoder=SleepingDecoder(),
        prompt_slots=(),
    )
    return PhotoTask(opened, path)


@pytest.mark.parametrize("count", [1, 3])
def test_the_parts_are_the_whole_time(photo_task: PhotoTask, count: int) -> None:
    box, left_out = Prompt.checked(box=(4, 4, 40, 40)), []
    for _ in range(5):  # other processes may take the core between two parts
        start = time.perf_counter()
        photo_task.run([box] * count)
        whole = time.perf_counter() - start
        parts = photo_task.parts
        assert list(parts) == list(Part)
        assert min(parts.values()) > 0
        assert parts[Part.ENCODER] >= ENCODER_S
        assert parts[Part.DECODER] >= DECODER_S * count
        left_out.append(abs(1 - sum(parts.values()) / whole))
    assert min(left_out) < 0.05


def test_a_turn_ends_when_the_threads_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, asleep = (0.0, 0.02), (0.03, 0.0301)
    readings = iter([*busy, *busy, *asleep])
    monkeypatch.setattr(time, "process_time", lambda: next(readings))
    wait_until_idle()
    assert next(readings, None) is None


def test_a_thread_that_never_sleeps_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "_PATIENCE_S", 0.05)
    clock = iter(range(100))
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    start = time.monotonic()
    wait_until_idle()
    assert 0.05 <= time.monotonic() - start < 1
