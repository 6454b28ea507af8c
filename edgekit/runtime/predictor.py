"""SAM's predictor for a bundle: encode a photo once, then answer any number of prompts.

Most models decode each prompt (`decoding`). A detector finds all objects of the photo at once, and
prompts select among them (`detector_prompts`). A model of one graph may have the prompt drawn into
its image (`drawn_prompts`). The bundle's manifest says which applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import (
    NATIVE,
    Bundle,
    DetectorContract,
    EverythingRule,
    FloatArray,
    PhotoClient,
    PromptShape,
    Rgb,
    Role,
    Segment,
    Session,
    Strategy,
)
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.decoding import DecoderAnswers
from edgekit.runtime.detections import Masks, find_objects
from edgekit.runtime.detector_prompts import DetectorAnswers
from edgekit.runtime.drawn_prompts import encoder_and_decoder
from edgekit.runtime.everything import CropBox, Scene, find_segments
from edgekit.runtime.mask_choice import Multimask
from edgekit.runtime.photo import PhotoLike, load_photo
from edgekit.runtime.prediction import Prediction
from edgekit.runtime.preprocess import encoder_input, placement
from edgekit.runtime.prompts import Prompt, prompts_inside
from edgekit.runtime.proposals import ProposalNetwork
from edgekit.runtime.upstream_names import refuse_keywords


class Predictor:
    """Segments objects that prompts point at, with the files of a bundle.

    `execution` says how the files run here: natively, or on a stand-in for their runtime.
    `prompt_batches` are the (prompts, points) of decoders for several prompts of a fixed number.

    Not thread-safe: it holds one photo.
    """

    _made_from: tuple[str, tuple[str, ...]] | None = None
    """Model and weights of the bundle; None over sessions, of which nothing is known."""

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        """Open a bundle.

        Args:
            bundle: its folder, a .zip of it, or a bundle already read.
            threads: number of threads; None leaves it to the runtime.

        Raises:
            BadInput: the bundle segments volumes (see `VolumePredictor`).
            BundleCorrupt: a file of the bundle is missing or was changed.
            RuntimeMissing: the bundle's runtime is not installed.
        """
        from edgekit.runtime.opening import execution, open_graphs
        from edgekit.store import read_bundle

        if not isinstance(bundle, Bundle):
            bundle = read_bundle(Path(bundle))
        client = photo_client(bundle.manifest.client)
        opened = open_graphs(bundle, threads=threads)
        self._connect(
            client,
            opened[Role.ENCODER],
            opened.get(Role.DECODER),
            bundle.manifest.target.prompt_slots,
            bundle.manifest.target.prompt_batches,
        )
        self.execution = execution(bundle.manifest.target)
        self._made_from = bundle.manifest.model, bundle.manifest.weights.identity

    @classmethod
    def from_sessions(
        cls,
        client: PhotoClient,
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
                for a model of one graph.
            prompt_slots: slot counts of a decoder with fixed slots and batch 1, ascending; empty
                for a dynamic decoder.
            prompt_batches: (prompts, slots) that this decoder takes beside them.
        """
        predictor = cls.__new__(cls)
        predictor._connect(client, encoder, decoder, prompt_slots, prompt_batches)
        return predictor

    def _connect(
        self,
        client: PhotoClient,
        encoder: Session,
        decoder: Session | None,
        prompt_slots: tuple[int, ...],
        prompt_batches: tuple[PromptShape, ...],
    ) -> None:
        self.client = client
        self.execution = NATIVE
        self._encoder, self._decoder = encoder_and_decoder(client, encoder, decoder)
        self._slots = prompt_slots if client.decodes else ()
        self.prompt_batches = prompt_batches
        self._pixels: Rgb | None = None
        self._answers: DecoderAnswers | DetectorAnswers | None = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo that was set, in pixels."""
        self._photo()
        assert self._pixels is not None
        return self._pixels.shape[0], self._pixels.shape[1]

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
        self._pixels = load_photo(photo)
        self._answers = self._encoded(self._pixels)

    def _encoded(self, pixels: Rgb) -> DecoderAnswers | DetectorAnswers:
        """The answers to prompts on a photo, or on a crop of it."""
        client, size = self.client, (pixels.shape[0], pixels.shape[1])
        image = encoder_input(pixels, client.preprocessing)
        features = self._encoder.run({"image": image})
        if isinstance(client, DetectorContract):
            place = placement(size, client.preprocessing)
            return DetectorAnswers(Masks(find_objects(features, place, client.objects)))
        assert self._decoder is not None  # a ClientContract has a decoder or a stand-in for it
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

    def everything(
        self,
        strategy: Strategy = "grid",
        *,
        grid: int | None = None,
        boxes: npt.ArrayLike | None = None,
        proposals: ProposalNetwork | None = None,
        rule: EverythingRule | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Segment]:
        """All objects of the photo.

        A model with a decoder is given many prompts. With the strategies "grid" (SAM's) and
        "hierarchical" (TinySAM's: fewer prompts, nearly the same objects), the masks that pass the
        rule's thresholds are returned without duplicates, the best first. "proposed" does the same
        with points of a proposal network in place of the grid. With "boxes" (MobileSAMv2's), each
        box gives its mask, in the order of the boxes. A detector (FastSAM) finds all objects at
        once, the best first; none of the arguments applies to it.

        Args:
            strategy: where the prompts come from.
            grid: points a side; None for the rule's. "hierarchical" takes a quarter of them first.
            boxes: [N, 4] x0, y0, x1, y1 in photo pixels, for the strategy "boxes"; for a detector's
                own, see `detected_boxes`.
            proposals: for the strategy "proposed"; `edgekit.runtime.read_proposals` opens a file.
            rule: all other numbers; None for those of the family, `client.everything`.
            on_progress: called after each prompt with the prompts done and to do.

        Raises:
            BadInput: no photo is set; a number is out of range; boxes or proposals are missing, not
                taken, or wrong (see `Prompt.checked` and `ProposalNetwork`).
        """
        answers = self._photo()
        if isinstance(answers, DetectorAnswers):
            return answers.everything()
        self.check_proposals(proposals)
        rule = rule or answers.client.everything
        scene = Scene(
            size=answers.size,
            rule=rule if grid is None else replace(rule, grid=grid),
            encode=self._decoder_answers,
            on_progress=on_progress or (lambda _done, _total: None),
        )
        return find_segments(strategy, scene, boxes, proposals)

    def check_proposals(self, proposals: ProposalNetwork | None) -> None:
        """Refuse a network that was trained on another encoder than the bundle's.

        Over sessions without a bundle nothing is refused.

        Raises:
            BadInput: it was.
        """
        if proposals and self._made_from:
            proposals.require_encoder(*self._made_from)

    def _decoder_answers(self, crop: CropBox) -> DecoderAnswers:
        """The answers on a crop of the photo; the whole photo is not encoded again."""
        assert self._pixels is not None
        x0, y0, x1, y1 = crop
        pixels = self._pixels[y0:y1, x0:x1]
        whole = pixels.shape == self._pixels.shape
        answers = self._answers if whole else self._encoded(pixels)
        assert isinstance(answers, DecoderAnswers)
        return answers

    def detected_boxes(self) -> FloatArray:
        """The boxes [N, 4] of all objects that a detector found: x0, y0, x1, y1, the best first.

        A box that lies outside the photo, so that nothing of it is left, is left out.

        Raises:
            BadInput: no photo is set, or the model is not a detector.
        """
        if not isinstance(self.client, DetectorContract):
            raise BadInput(
                "This model answers prompts, and detects no boxes.",
                expected="a detector, such as fastsam_s",
            )
        answers = self._photo()
        assert isinstance(answers, DetectorAnswers)
        boxes = answers.boxes
        return boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]

    def _photo(self) -> DecoderAnswers | DetectorAnswers:
        if self._answers is None:
            raise BadInput(
                "No photo is set.",
                expected="set_image before the first prompt",
                next_step="predictor.set_image(photo)",
            )
        return self._answers
