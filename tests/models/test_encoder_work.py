"""The encoder's work that `edgekit models` shows equals that of the definition."""

from __future__ import annotations

import pytest

from edgekit.models import registry
from edgekit.records import ModelRow


@pytest.mark.slow
@pytest.mark.parametrize("row", registry.models(), ids=lambda row: row.name)
def test_gmacs_of_the_row_equal_the_encoders(row: ModelRow) -> None:
    assert gmacs(row) == pytest.approx(row.encoder_gmacs, abs=0.06)


def gmacs(row: ModelRow) -> float:
    """1e9 multiply-accumulates for one photo, counted on the meta device without computing."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from edgekit.models.checkpoints.fit import build

    frame = row.client.preprocessing.frame
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad():
        encoder, _ = build(row)
        with counter:
            encoder(torch.empty(1, row.client.image_channels, *[frame] * row.graph.axes))
    return counter.get_total_flops() / 2e9
