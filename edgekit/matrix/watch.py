"""What a matrix tells its caller while it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from edgekit.matrix.cells import Cell
from edgekit.matrix.results import Result


class Watch(Protocol):
    """Receives what happens. `until` is when all will be done, None if nothing is known yet."""

    def planned(self, left: int, until: datetime | None) -> None:
        """`left` cells are to run; the others have results already."""
        ...

    def started(self, cell: Cell) -> None:
        """A cell starts; called from the thread that runs it."""
        ...

    def ended(self, result: Result, left: int, until: datetime | None) -> None:
        """A result was written, and `left` cells are left."""
        ...
