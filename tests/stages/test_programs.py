"""A model is captured once per process, and large ones do not stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.models import registry
from edgekit.stages import programs


@pytest.mark.parametrize(
    ("parameters", "stays"), [(programs.KEPT, True), (programs.KEPT + 1, False)]
)
def test_large_models_make_room_for_the_converter(
    parameters: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared = []
    monkeypatch.setattr(
        programs.captured, "cache_clear", lambda: cleared.append(True), raising=False
    )
    programs.release(replace(registry.model("nanosam"), parameters=parameters))
    assert bool(cleared) is not stays
