"""SAM's predictor for a bundle: encode a photo once, then answer any number of prompts.

Most models decode each prompt (`decoding`). A detector finds all objects of the photo at once, and
prompts select among them (`detector_prompts`). The bundle's manifest says which applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import (
    NATIVE,
    Bundle,
    Client,
    DetectorContract,
    FloatArray,
    PromptShape,
    Role,
    Session,
)
from edgekit.runtime.decoding import DecoderAnswers
from edgekit.runtime.detections import Masks, find_objects
from edgekit.runtime.detector_prompts import DetectorAnswers
from edgekit.runtime.mask_choice import Multimask
from edgekit.runtime.photo import PhotoLike, load_photo
from edgekit.runtime.prediction import Answers, Prediction, Size
from edgekit.runtime.preprocess import encoder_input, placement
from edgekit.runtime.prompts import Prompt, prompts_inside
from edgekit.runtime.upstream_names import refuse_keywords


class Predictor:
    """Segments objects that prompts point at, with the files of a bundle.

    `execution` says how the files run here: natively, or on a stand-in for their runtime.
    `prompt_batches` are the (prompts, points) of decoders for several prompts of a fixed number.

    Not thread-safe: it holds one photo.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        """Open a bundle.

        Args:
            bundle: its folder, a .zip of it, or a bundle already read.
            threads: number of threads; None leaves it to the runtime.

        Raises:
            BundleCorrupt: a file of the bundle is missing or was changed.
            RuntimeMissing: the bundle's runtime is not installed.
        """
        from edgekit.runtime.opening import execution, open_graphs
        from edgekit.store import read_bundle

        if not isinstance(bundle, Bundle):
            bundle = read_bundle(Path(bundle))
        opened = open_graphs(bundle, threads=threads)
        self._connect(
            bundle.manifest.client,
            opened[Role.ENCODER],
            opened.get(Role.DECODER),
            bundle.manifest.target.prompt_slots,
            bundle.manifest.target.prompt_batches,
        )
        self.execution = execution(bundle.manifest.target)

    @classmethod
    def from_sessions(
        cls,
        client: Client,
        encoder: Session,
        decoder: Session | None = None,
        *,
        prompt_slots: tuple[int, ...] = (),
        prompt_batches: tuple[PromptShape, ...] = (),
    ) -> Predictor:
        """A predictor over graphs that are already open, such as the PyTorch reference's.

        Args:
            client: the family's rules around the graphs.
            encoder: `image` in, features (`image_embeddings` and a family's own) out.
            decoder: features and prompts in, `low_res_masks` and `iou_predictions` out; None
                for a detector.
            prompt_slots: slot counts of a decoder with fixed slots and batch 1, ascending; empty
                for a dynamic decoder.
            prompt_batches: (prompts, slots) that this decoder takes beside them.
        """
        predictor = cls.__new__(cls)
        predictor._connect(client, encoder, decoder, prompt_slots, prompt_batches)
        return predictor

    def _connect(
        self,
        client: Client,
        encoder: Session,
        decoder: Session | None,
        prompt_slots: tuple[int, ...],
        prompt_batches: tuple[PromptShape, ...],
    ) -> None:
        self.client = client
        self.execution = NATIVE
        self._encoder = encoder
        self._decoder = decoder
        self._slots = prompt_slots
        self.prompt_batches = prompt_batches
        self._size: Size | None = None
        self._answers: Answers | None = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo that was set, in pixels."""
        self._photo()
        assert self._size is not None
        return self._size

    def set_image(self, photo: PhotoLike, **others: NoReturn) -> None:
        """Encode a photo. All prompts refer to it until the next call.

        Args:
            photo: a path, the bytes of a file, a binary stream, a uint8 RGB array [H, W, 3] or a
                Pillow image.
            others: none; for SAM's own names, the error says what they are called here.

        Raises:
            BadInput: it cannot be read. No photo is set afterwards, not even the previous one.
        """
        refuse_keywords("set_image", others)
        self._answers = None
        pixels = load_photo(photo)
        self._size = pixels.shape[0], pixels.shape[1]
        image = encoder_input(pixels, self.client.preprocessing)
        self._answers = self._answers_from(self._encoder.run({"image": image}), self._size)

    def _answers_from(self, features: dict[str, FloatArray], size: Size) -> Answers:
        client = self.client
        if isinstance(client, DetectorContract):
            place = placement(size, client.preprocessing)
            return DetectorAnswers(Masks(find_objects(features, place, client.objects)))
        assert self._decoder is not None  # a ClientContract always has a decoder
        return DecoderAnswers(
            client=client,
            decoder=self._decoder,
            slots=self._slots,
            batches=self.prompt_batches,
            size=size,
            features=features,
        )

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: Multimask = False,
        **others: NoReturn,
    ) -> Prediction:
        """Segment one object, in SAM's calling convention and photo coordinates.

        Args:
            points: [N, 2] x, y. labels: [N], 1 foreground, 0 background.
            box: [4] x0, y0, x1, y1, clipped to the photo. For several, see `predict_many`.
            mask: [side, side] low-res logits of an earlier prediction, to refine it.
            multimask: True returns the family's several masks instead of one; a name returns one of
                the family's own sets of masks (`client.masks.others`).
            others: none; for SAM's own names, the error says what they are called here.

        Raises:
            BadInput: no photo is set, the prompt is wrong (see `Prompt.checked`), or the family
                does not support it.
        """
        refuse_keywords("predict", others)
        prompt = Prompt.checked(
            points=points, labels=labels, box=box, mask=mask, photo_size=self.photo_size
        )
        return self.predict_many([prompt], multimask=multimask)[0]

    def predict_many(
        self, prompts: Sequence[Prompt], *, multimask: Multimask = False
    ) -> Sequence[Prediction]:
        """Segment many objects of the photo. Boxes are clipped to it.

        Each mask at the photo's size is computed when its item of the sequence is read, so memory
        does not grow with the number of prompts times the photo.

        Raises:
            BadInput: no photo is set, a prompt lies outside it (the message gives its index), or
                the family does not support it.
        """
        answers = self._photo()
        placed = prompts_inside(prompts, self.photo_size)
        for prompt in placed:
            prompt.check_supported(self.client, multimask=multimask)
        return answers.many(placed, multimask=multimask)

    def everything(self) -> Sequence[Prediction]:
        """All objects that the model finds in the photo, best first, one mask each.

        Each mask is computed when its item is read: 300 masks of 12 megapixels are 3.6 GB.

        Raises:
            BadInput: no photo is set, or the model needs prompts.
        """
        return self._photo().everything()

    def _photo(self) -> Answers:
        if self._answers is None:
            raise BadInput(
                "No photo is set.",
                expected="set_image before the first prompt",
                next_step="predictor.set_image(photo)",
            )
        return self._answers
