"""Opening a bundle: each prompt runs on the decoder with its number of slots."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.catalog import target
from edgekit.runtime.opening import SlottedDecoder, execution


class CountingSession:
    """A session that returns its number of slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def run(self, _):
        return {"slots": np.full(1, self.slots, np.float32)}


@pytest.mark.parametrize("slots", [5, 16])
def test_call_runs_the_decoder_with_as_many_slots(slots: int) -> None:
    decoder = SlottedDecoder({5: CountingSession(5), 16: CountingSession(16)})
    feeds = {"point_labels": np.zeros((1, slots), np.float32)}
    assert decoder.run(feeds)["slots"] == slots


def test_tensorrt_is_not_emulated_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.emulation.tensorrt.find_spec", lambda _: None)
    how = execution(target("jetson-fp16"))
    assert how.how == "not run"
    assert "to emulate it, package onnx is not installed" in (how.reason or "")
