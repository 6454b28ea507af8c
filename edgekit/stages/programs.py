"""Weights to captured programs, once per process: planning and lowering start from the same."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from edgekit.records import ModelRow, WeightsSource

if TYPE_CHECKING:
    from edgekit.graph.capture import Program
    from edgekit.models.checkpoints.fit import Split

KEPT = 250_000_000
"""Parameters of a model that may stay in memory beside a converter's own copies: 1 GB."""


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


@lru_cache(maxsize=1)
def captured(row: ModelRow, source: WeightsSource, slots: tuple[int, ...]) -> CapturedModel:
    """Load a model and capture its graphs; `slots` as in the target's `prompt_slots`.

    Raises:
        CheckpointMismatch: the weights do not fit.
    """
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


def release(row: ModelRow) -> None:
    """Forget a large model: converters hold its weights several times over (ViT-H: 2.5 GB each).

    Whoever needs it again captures it again.
    """
    if row.parameters > KEPT:
        captured.cache_clear()
        gc.collect()  # graphs refer to themselves
