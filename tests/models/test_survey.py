"""The survey's systems: each is in the registry, is a technique, or says why it is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.models import registry
from edgekit.models.survey import SYSTEMS, System

PACKAGE = Path(edgekit.__file__).parent


def test_the_survey_has_24_systems() -> None:
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS) == 24


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_each_system_is_here_or_says_why_not(system: System) -> None:
    assert (system.status == "not here") == (not system.rows and not system.techniques)
    assert not system.reason.endswith(".")
    assert not system.note.endswith(".")
    assert all((PACKAGE / module).is_file() for module in system.techniques)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("SAM", "parity"),
        ("SuperSAM", "paper"),
        ("SqueezeSAM", "parity"),
        ("PTQ4SAM", "technique"),
        ("PQ-SAM", "not here"),
        ("AoP-SAM", "technique"),
    ],
)
def test_the_status_is_the_registrys(name: str, status: str) -> None:
    (system,) = (system for system in SYSTEMS if system.name == name)
    assert system.status == status


def test_a_system_without_a_row_takes_the_status_of_its_technique() -> None:
    made = System(name="x", paper=None, families=("x",), techniques=("runtime/everything/grid.py",))
    assert (made.rows, made.status) == ((), "technique")


def test_every_model_of_a_systems_paper_belongs_to_it() -> None:
    for system in SYSTEMS:
        of_the_paper = {row.family for row in registry.models() if row.paper == system.paper}
        assert of_the_paper <= set(system.families), system.name
