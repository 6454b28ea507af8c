"""A predictor over a photo of known rectangles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import EverythingRule
from edgekit.runtime import Predictor
from tests.runtime.everything.things import SIZE, Decoder, Encoder, Thing


@dataclass(frozen=True, kw_only=True)
class Scenery:
    predictor: Predictor
    encoder: Encoder
    decoder: Decoder


@pytest.fixture
def scenery() -> Callable[..., Scenery]:
    """`scenery(*things, ...)`: a predictor whose photo shows these things.

    SAM's rule, with 8 points a side and what is given.
    """

    def make(*things: Thing, **changes: float) -> Scenery:
        rule = replace(EverythingRule(grid=8), **changes)
        # "squashed" enlarges the low-res mask once, here not at all.
        masks = replace(SAM_CLIENT.masks, upscale="squashed")
        client = replace(SAM_CLIENT, masks=masks, everything=rule)
        encoder, decoder = Encoder(), Decoder(things)
        predictor = Predictor.from_sessions(client, encoder, decoder)
        predictor.set_image(np.zeros((*SIZE, 3), np.uint8))
        return Scenery(predictor=predictor, encoder=encoder, decoder=decoder)

    return make
