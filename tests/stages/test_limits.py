"""A model that not every target may take is refused with the reason, before any work."""

from __future__ import annotations

import pytest

from edgekit import catalog
from edgekit.errors import NotYet
from edgekit.models import registry
from edgekit.pipeline import ExportRequest, export
from edgekit.records import Target
from edgekit.stages.limits import require_allowed

ALLOWED = {"x86-fp32", "x86-ort-fp32"}


@pytest.mark.parametrize("target", catalog.targets(), ids=lambda target: target.name)
def test_fastsam3d_is_refused_for_all_targets_but_two(target: Target) -> None:
    row = registry.model("fastsam3d")
    if target.name in ALLOWED:
        require_allowed(row, target)
        return
    with pytest.raises(NotYet, match="3-D convolutions") as caught:
        export(ExportRequest(model=row.name, target=target.name, weights=("seeded",)))
    assert all(name in str(caught.value.expected) for name in ALLOWED)


def test_a_row_without_a_limit_takes_every_target() -> None:
    for target in catalog.targets():
        require_allowed(registry.model("nanosam"), target)
