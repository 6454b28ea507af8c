"""The encoder's work that `edgekit models` shows, against the definitions."""

from __future__ import annotations

import pytest

from edgekit.models import registry
from edgekit.records import ModelRow


@pytest.mark.slow
@pytest.mark.parametrize("row", registry.models(), ids=lambda row: row.name)
def test_a_row_tells_the_work_of_its_encoder(row: ModelRow) -> None:
    assert gmacs(row) == pytest.approx(row.encoder_gmacs, abs=0.06)


def gmacs(row: ModelRow) -> float:
    """Multiply-accumulates of one photo in 1e9; takes no memory, computes nothing."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from edgekit.models.checkpoints.fit import build

    frame = row.client.preprocessing.frame
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad():
        encoder, _ = build(row)
        with counter:
            encoder(torch.empty(1, 3, frame, frame))
    return counter.get_total_flops() / 2e9
