"""Everything from a photo's file to masks at its size, with the time of each part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from edgekit.benchmark.contestant import Opened
from edgekit.benchmark.figures import Part
from edgekit.records import Feeds, FloatArray, Session
from edgekit.runtime import Prompt, load_photo


class PhotoTask:
    """What a user's program does with a photo. `parts` has the seconds of the latest run."""

    def __init__(self, opened: Opened, path: Path) -> None:
        self.parts: dict[Part, float] = {}
        self._path = path
        self._encoder = _Watched(opened.encoder)
        self._predictor = replace(opened, encoder=self._encoder).predictor()

    def run(self, prompts: Sequence[Prompt]) -> None:
        """Read and encode the photo, decode all prompts in one call, and make every mask."""
        start = time.perf_counter()
        pixels = load_photo(self._path)
        read = time.perf_counter()
        self._predictor.set_image(pixels)
        predictions = self._predictor.predict_many(prompts)
        decoded = time.perf_counter()
        for _ in predictions:  # a mask is made when its item is read
            pass
        marks = (start, read, *self._encoder.latest, decoded, time.perf_counter())
        seconds = (after - before for before, after in pairwise(marks))
        self.parts = dict(zip(Part, seconds, strict=True))


class _Watched:
    """A session that keeps when its latest run began and ended."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.latest = (0.0, 0.0)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        start = time.perf_counter()
        results = self._session.run(feeds)
        self.latest = (start, time.perf_counter())
        return results
