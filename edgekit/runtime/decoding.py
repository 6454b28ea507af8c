"""Decode prompts on an encoded photo, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from edgekit.records import BoolArray, ClientContract, FloatArray, PromptShape, Session
from edgekit.runtime.decoder_feeds import decoder_feeds, slots_of
from edgekit.runtime.mask_choice import Multimask, choice_for, choose_masks
from edgekit.runtime.postprocess import masks_from_logits
from edgekit.runtime.prediction import Prediction, Size
from edgekit.runtime.prompts import Prompt

CHUNK = 8
"""Prompts that a decoder of dynamic shapes gets at once. Each takes 35 to 50 MB in the runtime.

Fifty boxes on NanoSAM in float32, two AVX2 cores, in turns, against 8 at once (and memory;
`tests/benchmarks/bench_decoder.py chunks`):
OpenVINO 4: 1.09x (-166 MB), 16: 0.97x (+327 MB), 32: 0.95x (+873 MB);
ONNX Runtime 4: 0.95x (-139 MB), 16: 0.96x (+345 MB), 32: 0.92x (+673 MB).
The same with AVX-512: OpenVINO 4: 1.15x, 16: 1.05x, 32: 1.02x, in BF16 1.04x, 0.91x, 0.89x;
ONNX Runtime 4: 1.18x, 16: 1.02x, 32: 1.13x."""

_WORTH_FILLING = 0.5
"""The share of a fixed batch from which one call is faster than a call for each prompt.

NanoSAM in LiteRT 2.3 on two AVX2 cores: a batch of 4 takes as long as 1.8 single prompts
(`tests/benchmarks/bench_decoder.py batches`)."""


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
    batch 1, ascending; empty for a dynamic decoder. `batches` are the (prompts, slots) that it
    accepts beside them.
    """

    client: ClientContract
    decoder: Session
    slots: tuple[int, ...]
    batches: tuple[PromptShape, ...]
    size: Size
    features: dict[str, FloatArray]

    def many(self, prompts: Sequence[Prompt], *, multimask: Multimask) -> Predictions:
        """Decode all prompts now, several at a time; upscale each mask when it is read."""
        return Predictions(
            list(self.decoded(prompts, multimask=multimask)),
            masks_from=lambda logits: masks_from_logits(logits, self.size, self.client),
            clamp=self.client.masks.clamp,
        )

    def decoded(
        self, prompts: Sequence[Prompt], *, multimask: Multimask
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Low-res logits [K, side, side] and scores [K] of each prompt, in order.

        Several prompts are decoded at once. Those that had to wait for an earlier one are held.
        """
        ready: dict[int, tuple[FloatArray, FloatArray]] = {}
        following = 0
        for chunk in self._chunks(prompts):
            pairs = self._decode([prompts[index] for index in chunk], multimask=multimask)
            ready.update(zip(chunk, pairs, strict=True))
            while following in ready:
                yield ready.pop(following)
                following += 1

    def _decode(
        self, prompts: Sequence[Prompt], *, multimask: Multimask
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """For each prompt, low-res logits [K, side, side] and scores [K] of the chosen masks."""
        choice, count = choice_for(self.client.masks, multimask), len(prompts)
        feeds = self._feeds(prompts)
        out = self.decoder.run({**self.features, **feeds})
        masks, ious = out["low_res_masks"][:count], out["iou_predictions"][:count]
        low_res, scores = choose_masks(choice, masks, ious)
        return zip(low_res, scores, strict=True)

    def _feeds(self, prompts: Sequence[Prompt]) -> dict[str, FloatArray]:
        """The decoder's inputs; a batch of a fixed number is filled up with the last prompt."""
        count, slots = self._call(prompts[0]) if len(prompts) > 1 else (1, self.slots)
        missing = count - len(prompts) if slots else 0
        filled = [*prompts, *[prompts[-1]] * missing]
        return decoder_feeds(filled, self.size, self.client, slots=slots)

    def _chunks(self, prompts: Sequence[Prompt]) -> Iterator[list[int]]:
        """The prompts of each call, by index: as many like each other as the decoder takes."""
        calls = [self._call(prompt) for prompt in prompts]
        for count, slots in dict.fromkeys(calls):
            alike = [index for index, call in enumerate(calls) if call == (count, slots)]
            for start in range(0, len(alike), count):
                chunk = alike[start : start + count]
                if slots and len(chunk) < _WORTH_FILLING * count:
                    yield from ([index] for index in chunk)
                else:
                    yield chunk

    def _call(self, prompt: Prompt) -> tuple[int, tuple[int, ...]]:
        """How many prompts like this one a call takes, and the slots that each may have.

        All prompts of a call share its mask, so a prompt with a mask is alone.
        """
        if prompt.mask is not None:
            return 1, self.slots
        if not self.slots:
            return CHUNK, ()
        needed = slots_of(prompt, self.client)
        fitting = [(count, -slots) for count, slots in self.batches if slots >= needed]
        count, slots = max(fitting, default=(1, 0))
        return count, (-slots,) if slots else self.slots
