"""SAM's predictor on top of a bundle: see a photo once, then answer any number of prompts.

Prompts are decoded (`decoding`); where a model finds all objects of a photo at once, they choose
among those (`selection`). The bundle's manifest says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import Bundle, Client, DetectorContract, FloatArray, Role, Session
from edgekit.runtime.choice import Asked
from edgekit.runtime.decoding import Decoding
from edgekit.runtime.detections import Masks, detect
from edgekit.runtime.photo import PhotoLike, load_photo
from edgekit.runtime.prediction import Answers, Prediction, Size
from edgekit.runtime.preprocess import encoder_input, placed
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.selection import Choosing


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
        from edgekit.runtime.opening import open_graphs
        from edgekit.store import read_bundle

        if not isinstance(bundle, Bundle):
            bundle = read_bundle(Path(bundle))
        opened = open_graphs(bundle, threads=threads)
        self._connect(
            bundle.manifest.client,
            opened[Role.ENCODER],
            opened.get(Role.DECODER),
            bundle.manifest.target.prompt_slots,
        )

    @classmethod
    def from_sessions(
        cls,
        client: Client,
        encoder: Session,
        decoder: Session | None = None,
        *,
        prompt_slots: tuple[int, ...] = (),
    ) -> Predictor:
        """A predictor over opened graphs, wherever they come from (the PyTorch reference, a test).

        Args:
            client: the family's rules around the graphs.
            encoder: `image` in, features (`image_embeddings` and a family's own) out.
            decoder: features and prompts in, `low_res_masks` and `iou_predictions` out; None
                where the client's rules need none.
            prompt_slots: numbers of points that the decoder takes, ascending, if it has fixed slots
                and batch 1; empty for a dynamic one.
        """
        predictor = cls.__new__(cls)
        predictor._connect(client, encoder, decoder, prompt_slots)
        return predictor

    def _connect(
        self,
        client: Client,
        encoder: Session,
        decoder: Session | None,
        prompt_slots: tuple[int, ...],
    ) -> None:
        self.client = client
        self._encoder = encoder
        self._decoder = decoder
        self._slots = prompt_slots
        self._size: Size | None = None
        self._answers: Answers | None = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo that was set, in pixels."""
        self._photo()
        assert self._size is not None
        return self._size

    def set_image(self, photo: PhotoLike) -> None:
        """See a photo; all prompts refer to it until the next one.

        Args:
            photo: a path, a uint8 RGB array [H, W, 3] or a Pillow image.

        Raises:
            BadInput: it cannot be read. No photo is set then, not even the one before.
        """
        self._answers = None
        pixels = load_photo(photo)
        self._size = pixels.shape[0], pixels.shape[1]
        image = encoder_input(pixels, self.client.preprocessing)
        self._answers = self._answers_from(self._encoder.run({"image": image}), self._size)

    def _answers_from(self, features: dict[str, FloatArray], size: Size) -> Answers:
        client = self.client
        if isinstance(client, DetectorContract):
            found = detect(features, placed(size, client.preprocessing), client.objects)
            return Choosing(Masks(found))
        assert self._decoder is not None  # such a contract has one
        return Decoding(
            client=client, decoder=self._decoder, slots=self._slots, size=size, features=features
        )

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: Asked = False,
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
        self, prompts: Sequence[Prompt], *, multimask: Asked = False
    ) -> Sequence[Prediction]:
        """Segment many objects of the photo.

        Masks at the photo's size are made one prediction at a time, when it is taken from the
        sequence, so that memory does not grow with the photo.

        Raises:
            BadInput: no photo was set, a prompt lies outside it, or this family does not take it.
        """
        answers = self._photo()
        for prompt in prompts:
            prompt.check_inside(self.photo_size)
            prompt.check_taken(self.client, multimask=multimask)
        return answers.many(prompts, multimask=multimask)

    def everything(self) -> Sequence[Prediction]:
        """All objects that the model finds in the photo, best first, one mask each.

        Masks are made when they are taken from the sequence: 300 of 12 megapixels are 3.6 GB.

        Raises:
            BadInput: no photo was set, or the model has to be told what to segment.
        """
        return self._photo().everything()

    def _photo(self) -> Answers:
        if self._answers is None:
            raise BadInput(
                "No photo is set.",
                expected="a photo before the first prompt",
                next_step="predictor.set_image(photo)",
            )
        return self._answers
