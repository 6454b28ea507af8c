"""The table of `edgekit models` against the definitions."""

from __future__ import annotations

import pytest

from edgekit.models import registry
from edgekit.models.encoder_work import ENCODER_GMACS, measured


def test_every_row_is_measured() -> None:
    missing = {row.name for row in registry.models()} ^ set(ENCODER_GMACS)
    assert not missing, "add what `encoder_work.measured(row)` returns"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nanosam", "slimsam_77", "efficienttam_ti_512x512"])
def test_figures_are_those_of_the_definitions(name: str) -> None:
    assert measured(registry.model(name)) == pytest.approx(ENCODER_GMACS[name], abs=0.06)
