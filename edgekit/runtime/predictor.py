"""SAM's predictor on top of a bundle: encode a photo once, then decode any number of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import BoolArray, Bundle, ClientContract, FloatArray, Role, Session
from edgekit.runtime.choice import choice_of, chosen
from edgekit.runtime.photo import PhotoLike, load_photo
from edgekit.runtime.postprocess import masks_from_logits
from edgekit.runtime.preprocess import encoder_input
from edgekit.runtime.prompts import Prompt, decoder_feeds

CHUNK = 4
"""Prompts decoded at once. Each takes the runtime about 55 MB; more at once did not save time."""


class Prediction(NamedTuple):
    """The masks of one prompt; unpacks as SAM's `masks, scores, low_res_logits`."""

    masks: BoolArray
    """[M, H, W] at the photo's size."""
    scores: FloatArray
    """[M], the decoder's own estimate of each mask's IoU. Not every family's lie in 0-1."""
    low_res_logits: FloatArray
    """[M, side, side]; one of them can be the `mask` of the next prompt."""


class Predictions(Sequence[Prediction]):
    """The predictions of many prompts, whose masks are made when one is asked for.

    Fifty masks of a 12-megapixel photo are 600 MB; fifty low-res ones are 13.
    """

    def __init__(
        self,
        decoded: Sequence[tuple[FloatArray, FloatArray]],
        *,
        masks_from: Callable[[FloatArray], BoolArray],
        clamp: float | None = None,
    ) -> None:
        """`decoded` holds low-res logits [M, side, side] and scores [M] of each prompt."""
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
class _Encoded:
    """The photo at hand: its (height, width) and all that the encoder said about it."""

    size: tuple[int, int]
    features: dict[str, FloatArray]


class Predictor:
    """Segments what prompts point at, with the files of a bundle.

    Not safe for use from several threads at once: it holds one photo.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        """Open a bundle.

        Args:
            bundle: its folder, or a bundle that was read already.
            threads: for the runtime; None leaves the number to it.

        Raises:
            BundleCorrupt: a file of the bundle is missing or changed.
            RuntimeMissing: the bundle's runtime is not installed.
        """
        from edgekit.backends import backend
        from edgekit.store import read_bundle

        if not isinstance(bundle, Bundle):
            bundle = read_bundle(Path(bundle))
        manifest = bundle.manifest
        runtime = backend(manifest.target.runtime)
        encoder, decoder = (
            runtime.open_artifact(
                bundle.artifact(role), bundle.path, manifest.target, threads=threads
            )
            for role in (Role.ENCODER, Role.DECODER)
        )
        self._connect(manifest.client, encoder, decoder, manifest.target.prompt_slots)

    @classmethod
    def from_sessions(
        cls,
        client: ClientContract,
        encoder: Session,
        decoder: Session,
        *,
        prompt_slots: int | None = None,
    ) -> Self:
        """A predictor over opened graphs, wherever they come from (the PyTorch reference, a test).

        Args:
            client: the family's rules around the graphs.
            encoder: `image` in, features (`image_embeddings` and a family's own) out.
            decoder: features and prompts in, `low_res_masks` and `iou_predictions` out.
            prompt_slots: for a decoder with fixed slots and batch 1; None for a dynamic one.
        """
        predictor = cls.__new__(cls)
        predictor._connect(client, encoder, decoder, prompt_slots)
        return predictor

    def _connect(
        self,
        client: ClientContract,
        encoder: Session,
        decoder: Session,
        prompt_slots: int | None,
    ) -> None:
        self.client = client
        self._encoder = encoder
        self._decoder = decoder
        self._slots = prompt_slots
        self._photo: _Encoded | None = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo that was set, in pixels."""
        return self._encoded().size

    def set_image(self, photo: PhotoLike) -> None:
        """Encode a photo; all prompts refer to it until the next one.

        Args:
            photo: a path, a uint8 RGB array [H, W, 3] or a Pillow image.

        Raises:
            BadInput: it cannot be read. No photo is set then, not even the one before.
        """
        self._photo = None
        pixels = load_photo(photo)
        image = encoder_input(pixels, self.client.preprocessing)
        features = self._encoder.run({"image": image})
        self._photo = _Encoded(size=(pixels.shape[0], pixels.shape[1]), features=features)

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: bool | str = False,
    ) -> Prediction:
        """Segment one object, in SAM's calling convention and photo coordinates.

        Args:
            points: [N, 2] x, y. labels: [N], 1 foreground, 0 background.
            box: [4] x0, y0, x1, y1.
            mask: [side, side] low-res logits of an earlier prediction, to refine it.
            multimask: return the family's several candidates instead of one mask, or one of the
                sets of masks that only this family knows, by name (`client.masks.others`).

        Raises:
            BadInput: no photo was set, or the prompt is wrong (see `Prompt.checked`) or
                one that this family does not take.
        """
        prompt = Prompt.checked(
            points=points, labels=labels, box=box, mask=mask, photo_size=self.photo_size
        )
        return self.predict_many([prompt], multimask=multimask)[0]

    def predict_many(
        self, prompts: Sequence[Prompt], *, multimask: bool | str = False
    ) -> Sequence[Prediction]:
        """Segment many objects of the photo, `CHUNK` at a time.

        All decoding is done on return; masks at the photo's size are made one prediction at a time,
        when it is taken from the sequence, so that memory does not grow with the photo.

        Raises:
            BadInput: no photo was set, a prompt lies outside it, or this family does not take it.
        """
        photo = self._encoded()
        for prompt in prompts:
            prompt.check_inside(photo.size)
            prompt.check_taken(self.client)
        size = CHUNK if self._slots is None else 1
        chunks = [prompts[start : start + size] for start in range(0, len(prompts), size)]
        return Predictions(
            [pair for chunk in chunks for pair in self._decode(photo, chunk, multimask=multimask)],
            masks_from=lambda logits: masks_from_logits(logits, photo.size, self.client),
            clamp=self.client.masks.clamp,
        )

    def _decode(
        self, photo: _Encoded, prompts: Sequence[Prompt], *, multimask: bool | str
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Low-res logits [M, side, side] and scores [M] of the masks asked for, per prompt."""
        choice = choice_of(self.client.masks, multimask)
        feeds = decoder_feeds(prompts, photo.size, self.client, slots=self._slots)
        out = self._decoder.run({**photo.features, **feeds})
        low_res, scores = chosen(choice, out["low_res_masks"], out["iou_predictions"])
        return zip(low_res, scores, strict=True)

    def _encoded(self) -> _Encoded:
        if self._photo is None:
            raise BadInput(
                "No photo is set.",
                expected="a photo before the first prompt",
                next_step="predictor.set_image(photo)",
            )
        return self._photo
