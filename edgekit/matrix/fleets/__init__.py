"""The machines that run cells, behind one interface: this one, devices over ssh, a Dask cluster."""

from __future__ import annotations

from typing import Protocol

from edgekit.matrix.cells import Cell, Host, StepRun
from edgekit.records import Target


class Fleet(Protocol):
    """Machines that run cells.

    `run` is called from `capacity` threads at once for each host. A fleet never runs two cells on
    one machine at the same time: an export would disturb the times of another cell.
    """

    def host(self, target: Target) -> Host:
        """The kind of machine that runs the cells of a target.

        If none can be reached, its `machine` is empty, and `run` tells why.
        """
        ...

    def capacity(self, host: Host) -> int:
        """The number of cells that machines of this kind can run at the same time."""
        ...

    def run(self, cell: Cell, target: Target) -> tuple[StepRun, ...]:
        """Run the steps of a cell, whose target is given as its profile, until one fails, and wait
        for them.

        Raises:
            EdgekitError: no machine could be used. The cell then could not run.
        """
        ...

    def stop(self) -> None:
        """End all that runs; called from another thread when the matrix is interrupted."""
        ...
