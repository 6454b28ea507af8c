"""A matrix over cells without models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.matrix import MatrixRequest, Overview, run_matrix
from tests.matrix.fakes import FakeFleet, FakeWatch

MODELS = ("nanosam", "mobilesam")
TARGETS = ("x86-fp32", "x86-int8", "jetson-fp16")

RunMatrix = Callable[..., Overview]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results folder, which is not there yet."""
    return tmp_path / "results"


@pytest.fixture
def matrix(results: Path) -> RunMatrix:
    """`matrix(fleet, ...)`: two models for three targets with seeded weights."""

    def run(fleet: FakeFleet, **asked: object) -> Overview:
        usual = {"models": MODELS, "targets": TARGETS, "weights": {"*": ("seeded",)}}
        request = MatrixRequest(**{**usual, "results": results, **asked})
        return run_matrix(request, fleet, watch=FakeWatch())

    return run
