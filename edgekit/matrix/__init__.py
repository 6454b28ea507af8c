"""Models by targets: run each pair, keep every outcome as a file, and show them together.

    MatrixRequest --selection--> cells --identity--> keys --fleet--> steps --outcome--> results
        --overview--> states --report--> Markdown, HTML, JUnit, CSV

A cell whose key has a result is not run again.
"""

from edgekit.matrix.cells import Cell, Measure
from edgekit.matrix.config import MatrixRequest
from edgekit.matrix.differences import Difference, differences
from edgekit.matrix.fleets import Fleet
from edgekit.matrix.overview import Overview
from edgekit.matrix.results import Result, read_results
from edgekit.matrix.running import run_matrix
from edgekit.matrix.states import State
from edgekit.matrix.watch import Watch

__all__ = [
    "Cell",
    "Difference",
    "Fleet",
    "MatrixRequest",
    "Measure",
    "Overview",
    "Result",
    "State",
    "Watch",
    "differences",
    "read_results",
    "run_matrix",
]
