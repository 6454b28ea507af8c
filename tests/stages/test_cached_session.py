"""A session that keeps its results."""

from __future__ import annotations

import numpy as np

from edgekit.stages.judging import CachedSession


class Counting:
    """Doubles its input and counts its runs."""

    runs = 0

    def run(self, feeds):
        self.runs += 1
        return {"y": feeds["x"] * 2}


def test_equal_feeds_run_once() -> None:
    session = Counting()
    cached = CachedSession(session)
    first = cached.run({"x": np.ones(3, np.float32)})
    again = cached.run({"x": np.ones(3, np.float32)})
    assert again is first
    assert session.runs == 1


def test_other_values_shapes_or_names_run_again() -> None:
    session = Counting()
    cached = CachedSession(session)
    cached.run({"x": np.zeros((1, 4), np.float32)})
    cached.run({"x": np.zeros((4, 1), np.float32)})
    cached.run({"x": np.ones((1, 4), np.float32)})
    assert session.runs == 3
