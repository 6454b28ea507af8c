"""Decode prompts on an encoded photo, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from edgekit.records import BoolArray, ClientContract, FloatArray, Session
from edgekit.runtime.mask_choice import Multimask, choice_for, choose_masks
from edgekit.runtime.postprocess import masks_from_logits
from edgekit.runtime.prediction import Prediction, Size
from edgekit.runtime.prompts import Prompt, decoder_feeds

CHUNK = 8
"""Prompts decoded at once. Each takes about 50 MB in the runtime, and they share a call's work."""


class Predictions(Sequence[Prediction]):
    """The predictions of many prompts. Each mask is computed when its item is read.

    Fifty masks of a 12-megapixel photo take 600 MB; fifty low-res ones take 13 MB.
    """

    def __init__(
        self,
        decoded: Sequence[tuple[FloatArray, FloatArray]],
        *,
        masks_from: Callable[[FloatArray], BoolArray],
        clamp: float | None = None,
    ) -> None:
        """`decoded` holds each prompt's low-res logits [K, side, side] and scores [K]."""
        self._decoded = decoded
        self._masks_from = masks_from
        self._clamp = clamp

    def __len__(self) -> int:
        return len(self._decoded)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        if isinstance(index, slice):
            return Predictions(self._decoded[index], masks_from=self._masks_from, clamp=self._clamp)
        low_res, scores = self._decoded[index]
        returned = low_res if self._clamp is None else np.clip(low_res, -self._clamp, self._clamp)
        return Prediction(self._masks_from(low_res), scores, returned)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecoderAnswers:
    """Answers to prompts from a decoder: features and prompts in, low-res masks and scores out.

    `size` is the photo's (height, width). `slots` are the slot counts that the decoder accepts at
    batch 1, ascending; empty for a dynamic decoder.
    """

    client: ClientContract
    decoder: Session
    slots: tuple[int, ...]
    size: Size
    features: dict[str, FloatArray]

    def many(self, prompts: Sequence[Prompt], *, multimask: Multimask) -> Predictions:
        """Decode all prompts now, `CHUNK` at a time; upscale each mask when it is read."""
        return Predictions(
            list(self.decoded(prompts, multimask=multimask)),
            masks_from=lambda logits: masks_from_logits(logits, self.size, self.client),
            clamp=self.client.masks.clamp,
        )

    def decoded(
        self, prompts: Sequence[Prompt], *, multimask: Multimask
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Low-res logits [K, side, side] and scores [K] of each prompt, `CHUNK` decoded at once."""
        for chunk in _chunks(prompts, most=1 if self.slots else CHUNK):
            yield from self._decode(chunk, multimask=multimask)

    def _decode(
        self, prompts: Sequence[Prompt], *, multimask: Multimask
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """For each prompt, low-res logits [K, side, side] and scores [K] of the chosen masks."""
        choice = choice_for(self.client.masks, multimask)
        feeds = decoder_feeds(prompts, self.size, self.client, slots=self.slots)
        out = self.decoder.run({**self.features, **feeds})
        low_res, scores = choose_masks(choice, out["low_res_masks"], out["iou_predictions"])
        return zip(low_res, scores, strict=True)


def _chunks(prompts: Sequence[Prompt], *, most: int) -> list[list[Prompt]]:
    """The prompts in order, at most so many at once; a prompt with a mask is alone."""
    chunks: list[list[Prompt]] = []
    for prompt in prompts:
        last = chunks[-1] if chunks else []
        if last and len(last) < most and last[0].mask is None and prompt.mask is None:
            last.append(prompt)
        else:
            chunks.append([prompt])
    return chunks
