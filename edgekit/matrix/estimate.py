"""When a matrix will be done, from how long its cells took before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from edgekit.matrix.cells import Place
from edgekit.matrix.results import Result


class Estimate:
    """The expected seconds of cells: those of the same place, or the mean of all that are known.

    `capacities` are the cells that each host, by its label, runs at the same time.
    """

    def __init__(self, results: Iterable[Result], capacities: Mapping[str, int]) -> None:
        self._capacities = capacities
        self._seconds = {result.place: result.seconds for result in results}

    def learn(self, result: Result) -> None:
        """Take over how long a cell took."""
        self._seconds[result.place] = result.seconds

    def end(self, left: Collection[Place]) -> datetime | None:
        """When the cells that are left will be done, in local time; None if nothing is known."""
        if not self._seconds:
            return None
        mean = sum(self._seconds.values()) / len(self._seconds)
        by_host = dict.fromkeys(self._capacities, 0.0)
        for place in left:
            by_host[place.host] += self._seconds.get(place, mean) / self._capacities[place.host]
        slowest = max(by_host.values(), default=0.0)
        return datetime.now().astimezone() + timedelta(seconds=slowest)
