"""A process that holds one contestant and runs one call at a time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.benchmark.contestant import Contestant, Opened, open_sessions
from edgekit.benchmark.figures import CURVE, MANY, Part, Task
from edgekit.benchmark.idle import wait_until_idle
from edgekit.benchmark.photo_task import PhotoTask
from edgekit.errors import EdgekitError
from edgekit.interpreter import python_command
from edgekit.runtime import Prompt, load_photo
from edgekit.runtime.drawn_prompts import encoder_image

_ANSWER_S = 600
"""Seconds to wait for one call: the first one with torch.compile takes minutes."""

# What is asked beside the names of tasks.
_PARTS = "parts"
_PEAK_BYTES = "peak bytes"

_START = "from edgekit.benchmark.worker import serve; serve(int(sys.argv[1]))"


class WorkerFailed(Exception):
    """A contestant could not be opened or run. The message is one line."""


class Worker:
    """The parent's side, a context manager. The process ends when it exits."""

    def __init__(self, contestant: Contestant, photo: Path, *, threads: int) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                python_command(_START, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
        self._pipe.send((contestant, photo, threads))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def wait_loaded(self) -> float:
        """Wait until the contestant is loaded; returns the seconds that it took.

        Raises:
            WorkerFailed: it could not be loaded.
        """
        return float(self._answer())

    def call(self, task: Task) -> float:
        """Run a task once; returns its seconds, after its threads have gone to sleep.

        Raises:
            WorkerFailed: it raised, died, or took too long.
        """
        self._pipe.send(task.value)
        return float(self._answer())

    def parts(self) -> dict[Part, float]:
        """The seconds of each part of the latest call of a photo task."""
        self._pipe.send(_PARTS)
        return dict(self._answer())

    def peak_bytes(self) -> int:
        """Peak memory of the process so far."""
        self._pipe.send(_PEAK_BYTES)
        return int(self._answer())

    def _answer(self) -> Any:
        if not self._pipe.poll(_ANSWER_S):
            raise WorkerFailed(f"no answer within {_ANSWER_S} s")
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"its process ended with {self._exit_code()}") from error
        if kind == "failed":
            raise WorkerFailed(str(value))
        return value

    def _exit_code(self) -> int | None:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            return None


def serve(descriptor: int) -> None:
    """The child's side: load, then answer one request at a time until the parent ends."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    try:
        contestant, photo, threads = pipe.recv()
        start = time.perf_counter()
        opened = open_sessions(contestant, threads)
        pipe.send(("ok", time.perf_counter() - start))
        tasks = _Tasks.from_sessions(opened, photo)
        while True:
            pipe.send(("ok", tasks.answer(pipe.recv())))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        return
    except EdgekitError as error:
        pipe.send(("failed", error.what))
    except Exception as error:  # runtimes raise classes of their own; the parent prints the line
        pipe.send(("failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tasks:
    """A function for each task, with its inputs prepared."""

    calls: dict[Task, Callable[[], Any]]
    photo: PhotoTask

    @classmethod
    def from_sessions(cls, opened: Opened, path: Path) -> _Tasks:
        predictor = opened.predictor()
        pixels = load_photo(path)
        image = encoder_image(pixels, opened.client)
        boxes = [Prompt.checked(box=box) for box in fixed_boxes(pixels.shape[0], pixels.shape[1])]
        predictor.set_image(pixels)
        photo = PhotoTask(opened, path)
        calls: dict[Task, Callable[[], Any]] = {
            task: partial(photo.run, boxes[: task.prompts]) for task in CURVE
        }
        calls[Task.ENCODER] = partial(opened.encoder.run, {"image": image})
        for task in (Task.DECODER, Task.DECODER_MANY):
            calls[task] = partial(predictor.predict_many, boxes[: task.prompts])
        return cls(calls=calls, photo=photo)

    def answer(self, asked: str) -> float | dict[Part, float]:
        """The parent's side has a method for each thing that can be asked."""
        if asked == _PARTS:
            return self.photo.parts
        return peak_bytes() if asked == _PEAK_BYTES else self._seconds(Task(asked))

    def _seconds(self, task: Task) -> float:
        start = time.perf_counter()
        self.calls[task]()
        seconds = time.perf_counter() - start
        wait_until_idle()
        return seconds


def fixed_boxes(height: int, width: int) -> list[tuple[float, float, float, float]]:
    """`MANY` boxes (x0, y0, x1, y1) in photo pixels, the same ones every time."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0.0, 1.0, (MANY, 2, 2)), axis=1)
    corners[:, 1] = np.maximum(corners[:, 1], np.minimum(corners[:, 0] + 0.05, 1.0))
    corners[:, 0] = np.minimum(corners[:, 0], corners[:, 1] - 0.01)
    scaled = corners * (width, height)
    return [tuple(float(side) for side in box.reshape(4)) for box in scaled]  # type: ignore[misc]


def peak_bytes() -> int:
    """Peak memory of this process.

    Not from `ru_maxrss` on Linux: it keeps the parent's value across fork and exec.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
