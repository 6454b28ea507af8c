"""When a matrix will be done, from how long its cells took before."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from edgekit.matrix.cells import Place
from edgekit.matrix.results import Result


class Estimate:
    """The expected seconds of cells: those of the same place, or the mean of all that are known."""

    def __init__(self, results: Iterable[Result], capacity: int) -> None:
        self._capacity = capacity
        self._seconds = {result.place: result.seconds for result in results}

    def learn(self, result: Result) -> None:
        """Take over how long a cell took."""
        self._seconds[result.place] = result.seconds

    def end(self, left: Collection[Place]) -> datetime | None:
        """When the cells that are left will be done, in local time; None if nothing is known."""
        if not self._seconds:
            return None
        mean = sum(self._seconds.values()) / len(self._seconds)
        total = sum(self._seconds.get(place, mean) for place in left)
        return datetime.now().astimezone() + timedelta(seconds=total / self._capacity)
