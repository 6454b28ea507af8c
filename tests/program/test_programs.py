"""A model is loaded on first use, once per handle, and a large one is released."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgekit.models import registry
from edgekit.program.programs import LARGE, Programs
from edgekit.records import FileDigest, WeightsSource

SOURCE = WeightsSource(kind="seeded", licence="none", seed=0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were loaded."""
    names: list[str] = []

    def load(row, _):
        names.append(row.name)
        return SimpleNamespace(notes=("some.pt: left out as no part of the model: pixel_mean.",))

    monkeypatch.setattr("edgekit.models.checkpoints.fit.load", load)
    return names


def test_nothing_is_loaded_for_a_cache_key(loads: list[str]) -> None:
    row = registry.model("nanosam")
    keys = {Programs(row, replace(SOURCE, seed=seed), ()).identity for seed in (0, 1)}
    keys |= {Programs(row, SOURCE, (8,)).identity}
    assert len(keys) == 3
    assert not loads


@pytest.mark.slow
@pytest.mark.usefixtures("loads")
def test_what_was_left_out_of_a_file_is_said_once() -> None:
    said: list[str] = []
    report = SimpleNamespace(warning=said.append)
    large = replace(registry.model("nanosam"), parameters=LARGE)
    programs = Programs(large, SOURCE, (), report=report)
    for _ in range(2):
        assert programs.split
        programs.release()
    assert said == ["some.pt: left out as no part of the model: pixel_mean."]


def test_two_state_dicts_of_a_file_are_two_models() -> None:
    row = registry.model("nanosam")
    sources = (
        WeightsSource(
            kind="path",
            licence="test",
            files=(FileDigest(path=f"/a.pt{key}", sha256="ab", bytes=1),),
        )
        for key in ("", "#params", "#params_ema")
    )
    assert len({Programs(row, source, ()).identity for source in sources}) == 3


def test_a_model_is_loaded_once(loads: list[str]) -> None:
    programs = Programs(registry.model("nanosam"), SOURCE, ())
    assert programs.split is programs.split
    assert loads == ["nanosam"]


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "count"), [(LARGE - 1, 1), (LARGE, 2)])
def test_large_models_make_room_for_the_converter(
    loads: list[str], parameters: int, count: int
) -> None:
    programs = Programs(replace(registry.model("nanosam"), parameters=parameters), SOURCE, ())
    for _ in range(2):
        assert programs.split
        programs.release()
    assert len(loads) == count
