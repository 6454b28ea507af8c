"""Weights to captured programs, once per process: planning and lowering start from the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from edgekit.records import ModelRow, Target, WeightsSource

if TYPE_CHECKING:
    from edgekit.graph.capture import Program
    from edgekit.models.checkpoints.fit import Split


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturedModel:
    """A model with its weights, and its programs; `decoder` None where it has none.

    Where decoders have fixed numbers of prompt slots, it is the one with the most.
    """

    split: Split
    encoder: Program
    decoder: Program | None

    @property
    def programs(self) -> tuple[Program, ...]:
        """Those that there are, and that a plan is made of."""
        return (self.encoder, self.decoder) if self.decoder else (self.encoder,)

    def for_slots(self, slots: tuple[int, ...]) -> tuple[Program, ...]:
        """All to be lowered: a decoder for each number of prompt slots."""
        if self.decoder is None:
            return (self.encoder,)
        others = (_decoder(self.split, self.encoder, count) for count in slots[:-1])
        return (self.encoder, *others, self.decoder)


def captured(row: ModelRow, source: WeightsSource, target: Target) -> CapturedModel:
    """Load a model and capture its graphs as the target takes them: slots, channels for INT8.

    Raises:
        CheckpointMismatch: the weights do not fit.
    """
    model = _captured(row, source, target.prompt_slots)
    return _equalized(model) if target.int8 else model


@lru_cache(maxsize=1)
def _equalized(model: CapturedModel) -> CapturedModel:
    from edgekit.precision.equalize import equalized

    return replace(model, encoder=equalized(model.encoder))


@lru_cache(maxsize=1)
def _captured(row: ModelRow, source: WeightsSource, slots: tuple[int, ...]) -> CapturedModel:
    from edgekit.graph.capture import capture_encoder
    from edgekit.models.checkpoints.fit import load

    split = load(row, source)
    encoder = capture_encoder(
        split.encoder, frame=row.client.preprocessing.frame, contract=row.graph
    )
    most = slots[-1] if slots else None
    decoder = _decoder(split, encoder, most) if split.decoder else None
    return CapturedModel(split=split, encoder=encoder, decoder=decoder)


def _decoder(split: Split, encoder: Program, slots: int | None) -> Program:
    from edgekit.graph.capture import capture_decoder

    assert split.decoder is not None  # nobody asks where there is none
    return capture_decoder(
        split.decoder, features=encoder.outputs, slots=slots, contract=split.row.graph
    )
