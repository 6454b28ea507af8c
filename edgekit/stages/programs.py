"""Weights to captured programs, once per process: planning and lowering start from the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from edgekit.records import ModelRow, WeightsSource

if TYPE_CHECKING:
    from edgekit.graph.capture import Program
    from edgekit.models.checkpoints.fit import Split


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturedModel:
    """A model with its weights, and its programs; `decoder` None where it has none."""

    split: Split
    encoder: Program
    decoder: Program | None

    @property
    def programs(self) -> tuple[Program, ...]:
        """Those that there are."""
        return (self.encoder, self.decoder) if self.decoder else (self.encoder,)


@lru_cache(maxsize=1)
def captured(row: ModelRow, source: WeightsSource, slots: int | None) -> CapturedModel:
    """Load a model and capture its graphs; `slots` as in `Target.prompt_slots`.

    Raises:
        CheckpointMismatch: the weights do not fit.
    """
    from edgekit.graph.capture import capture_decoder, capture_encoder
    from edgekit.models.checkpoints.fit import load

    split = load(row, source)
    encoder = capture_encoder(
        split.encoder, frame=row.client.preprocessing.frame, contract=row.graph
    )
    decoder = None
    if split.decoder:
        decoder = capture_decoder(
            split.decoder, features=encoder.outputs, slots=slots, contract=row.graph
        )
    return CapturedModel(split=split, encoder=encoder, decoder=decoder)
