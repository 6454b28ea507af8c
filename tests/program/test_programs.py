"""A model is loaded on first use, once per handle, and a large one is released."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.models import registry
from edgekit.program.programs import LARGE, Programs
from edgekit.records import WeightsSource

SOURCE = WeightsSource(kind="seeded", licence="none", seed=0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were loaded."""
    names: list[str] = []

    def load(row, _):
        names.append(row.name)
        return object()

    monkeypatch.setattr("edgekit.models.checkpoints.fit.load", load)
    return names


def test_nothing_is_loaded_for_a_cache_key(loads: list[str]) -> None:
    row = registry.model("nanosam")
    keys = {Programs(row, replace(SOURCE, seed=seed), ()).identity for seed in (0, 1)}
    keys |= {Programs(row, SOURCE, (8,)).identity}
    assert len(keys) == 3
    assert not loads


def test_a_model_is_loaded_once(loads: list[str]) -> None:
    programs = Programs(registry.model("nanosam"), SOURCE, ())
    assert programs.split is programs.split
    assert loads == ["nanosam"]


@pytest.mark.parametrize(("parameters", "count"), [(LARGE - 1, 1), (LARGE, 2)])
def test_large_models_make_room_for_the_converter(
    loads: list[str], parameters: int, count: int
) -> None:
    programs = Programs(replace(registry.model("nanosam"), parameters=parameters), SOURCE, ())
    for _ in range(2):
        assert programs.split
        programs.release()
    assert len(loads) == count
