"""A bundle's files as sessions: which decoder a prompt runs on."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.opening import SlottedDecoder


class Named:
    """A session that answers with its own number."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def run(self, _):
        return {"slots": np.full(1, self.slots, np.float32)}


@pytest.mark.parametrize("slots", [5, 16])
def test_a_call_goes_to_the_decoder_of_its_shapes(slots: int) -> None:
    decoder = SlottedDecoder({5: Named(5), 16: Named(16)})
    feeds = {"point_labels": np.zeros((1, slots), np.float32)}
    assert decoder.run(feeds)["slots"] == slots
