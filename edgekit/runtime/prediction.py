"""What a prompt is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from edgekit.records import BoolArray, FloatArray
from edgekit.runtime.choice import Asked
from edgekit.runtime.prompts import Prompt

Size = tuple[int, int]


class Prediction(NamedTuple):
    """The masks of one prompt; unpacks as SAM's `masks, scores, low_res_logits`."""

    masks: BoolArray
    """[M, H, W] at the photo's size."""
    scores: FloatArray
    """[M], the model's own estimate of each mask's quality. Not every family's lie in 0-1."""
    low_res_logits: FloatArray
    """[M, side, side]; one of them can be the `mask` of the next prompt. [M, 0, 0] where masks are
    chosen among those found, and not decoded."""


class Answers(Protocol):
    """How prompts on one photo become masks."""

    def many(self, prompts: Sequence[Prompt], *, multimask: Asked) -> Sequence[Prediction]:
        """The predictions of checked prompts; masks are made when one is taken."""
        ...

    def everything(self) -> Sequence[Prediction]:
        """All objects of the photo, best first; masks are made when one is taken.

        Raises:
            BadInput: this model has to be told what to segment.
        """
        ...
