"""The machines that run cells, behind one interface. `local` is this machine."""

from __future__ import annotations

from typing import Protocol

from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.records import Target


class Fleet(Protocol):
    """Machines that run cells.

    `run` is called from `capacity` threads at once. A fleet runs two cells on one machine at the
    same time never: an export would disturb the times of another cell.
    """

    @property
    def capacity(self) -> int:
        """The number of cells that can run at the same time."""
        ...

    def host(self, target: Target) -> Host:
        """The kind of machine that runs the cells of a target.

        Raises:
            BadInput: no machine of the fleet is for this target.
        """
        ...

    def run(self, cell: Cell) -> tuple[StepRun, ...]:
        """Run the steps of a cell until one fails, and wait for them.

        Raises:
            EdgekitError: the machine could not be used. The cell then could not run.
        """
        ...

    def stop(self) -> None:
        """End all that runs; called from another thread when the matrix is interrupted."""
        ...
