"""A mask at the size of its crop: its pixels and its stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.records import BoolArray, ClientContract, FloatArray
from edgekit.runtime.postprocess import enlarge_above, inside
from edgekit.runtime.prediction import Size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """The part [h, w] of a crop that holds a whole mask.

    `corner` is (top, left) of the part in the crop. `stability` is NaN where it is not defined.
    """

    logits: FloatArray
    mask: BoolArray
    corner: tuple[int, int]
    stability: np.float32


def measure(low_res: FloatArray, size: Size, client: ClientContract, *, offset: float) -> Measured:
    """Enlarge low-res logits [side, side] to a crop of `size`, and measure the mask there.

    Stability is the number of pixels above the mask's threshold plus `offset` divided by the number
    above the threshold minus `offset`. They are counted in the enlarged mask, as upstream does:
    counted in the low-res one, masks near the limit are decided differently.
    """
    threshold = client.masks.threshold
    with np.errstate(invalid="ignore", over="ignore"):  # broken weights give no mask, no warning
        logits, corner = enlarge_above(low_res, size, client, level=threshold - offset)
    inner = np.float32(np.count_nonzero(logits > threshold + offset))
    outer = np.float32(np.count_nonzero(logits > threshold - offset))
    return Measured(
        logits=logits,
        mask=inside(logits, client),
        corner=corner,
        stability=inner / outer if outer else np.float32("nan"),
    )
