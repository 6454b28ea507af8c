from __future__ import annotations

import numpy as np

from edgekit.stages.remembered import Remembered


class Counting:
    """Doubles what it gets, and counts."""

    runs = 0

    def run(self, feeds):
        self.runs += 1
        return {"y": feeds["x"] * 2}


def test_the_same_question_is_answered_once() -> None:
    session = Counting()
    remembered = Remembered(session)
    first = remembered.run({"x": np.ones(3, np.float32)})
    again = remembered.run({"x": np.ones(3, np.float32)})
    assert again is first
    assert session.runs == 1


def test_another_value_shape_or_name_is_another_question() -> None:
    session = Counting()
    remembered = Remembered(session)
    remembered.run({"x": np.zeros((1, 4), np.float32)})
    remembered.run({"x": np.zeros((4, 1), np.float32)})
    remembered.run({"x": np.ones((1, 4), np.float32)})
    assert session.runs == 3
