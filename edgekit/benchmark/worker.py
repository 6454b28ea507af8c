"""A process that holds one contestant and runs one call at a time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmark.contestant import Contestant, Opened, open_sessions
from edgekit.benchmark.figures import MANY, Task
from edgekit.errors import EdgekitError
from edgekit.interpreter import python_command

if TYPE_CHECKING:
    from edgekit.runtime import Predictor

_ANSWER_S = 600
"""Seconds to wait for one call: the first one with torch.compile takes minutes."""

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
        return self._answer()

    def call(self, task: Task) -> float:
        """Run a task once; returns its seconds.

        Raises:
            WorkerFailed: it raised, died, or took too long.
        """
        self._pipe.send(task.value)
        return self._answer()

    def peak_bytes(self) -> int:
        """Peak memory of the process so far."""
        self._pipe.send(None)
        return int(self._answer())

    def _answer(self) -> float:
        if not self._pipe.poll(_ANSWER_S):
            raise WorkerFailed(f"no answer within {_ANSWER_S} s")
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"its process ended with {self._exit_code()}") from error
        if kind == "failed":
            raise WorkerFailed(str(value))
        return float(value)

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
            asked = pipe.recv()
            pipe.send(("ok", peak_bytes() if asked is None else tasks.run(Task(asked))))
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

    @classmethod
    def from_sessions(cls, opened: Opened, path: Path) -> _Tasks:
        from edgekit.runtime import Prompt, load_photo
        from edgekit.runtime.preprocess import encoder_input

        predictor = _predictor(opened)
        pixels = load_photo(path)
        image = encoder_input(pixels, opened.client.preprocessing)
        boxes = [Prompt.checked(box=box) for box in fixed_boxes(pixels.shape[0], pixels.shape[1])]
        predictor.set_image(pixels)

        def photo_to_mask() -> object:
            whole.set_image(path)
            return whole.predict_many(boxes[:1])[0].masks

        whole = _predictor(opened)
        return cls(
            calls={
                Task.ENCODER: lambda: opened.encoder.run({"image": image}),
                Task.DECODER: lambda: predictor.predict_many(boxes[:1]),
                Task.DECODER_MANY: lambda: predictor.predict_many(boxes),
                Task.PHOTO: photo_to_mask,
            }
        )

    def run(self, task: Task) -> float:
        start = time.perf_counter()
        self.calls[task]()
        return time.perf_counter() - start


def _predictor(opened: Opened) -> Predictor:
    from edgekit.runtime import Predictor

    return Predictor.from_sessions(
        opened.client,
        opened.encoder,
        opened.decoder,
        prompt_slots=opened.prompt_slots,
        prompt_batches=opened.prompt_batches,
    )


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
