"""The answer to a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from edgekit.records import BoolArray, FloatArray
from edgekit.runtime.mask_choice import Multimask
from edgekit.runtime.prompts import Prompt

Size = tuple[int, int]


class Prediction(NamedTuple):
    """The masks of one prompt. Unpacks as SAM's `masks, scores, low_res_logits`."""

    masks: BoolArray
    """[M, H, W] at the photo's size."""
    scores: FloatArray
    """[M]: the model's own estimate of each mask's quality. Some families exceed 0-1."""
    low_res_logits: FloatArray
    """[M, side, side]: any of them can be the `mask` of the next prompt. [M, 0, 0] for a detector,
    which has no decoder."""


class Answers(Protocol):
    """Turns prompts on one photo into masks."""

    def many(self, prompts: Sequence[Prompt], *, multimask: Multimask) -> Sequence[Prediction]:
        """The predictions of checked prompts. Each mask is computed when its item is read."""
        ...

    def everything(self) -> Sequence[Prediction]:
        """All objects of the photo, best first. Each mask is computed when its item is read.

        Raises:
            BadInput: this model needs prompts.
        """
        ...
