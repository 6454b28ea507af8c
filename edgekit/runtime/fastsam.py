"""FastSAM: one graph finds every object, prompts choose among what was found.

Facts: CASIA-IVA-Lab/FastSAM, `FastSAMPrompt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import BoolArray, FloatArray, Session
from edgekit.runtime.detections import DetectionRule, Detections, Masks, detect
from edgekit.runtime.letterbox import letterboxed, placed
from edgekit.runtime.photo import PhotoLike, load_photo
from edgekit.runtime.prompts import Prompt

FRAME = 1024


class Selection(NamedTuple):
    """What a prompt chose."""

    mask: BoolArray
    """[H, W] at the photo's size."""
    score: float
    """The best score among the objects that it is made of; 0 if there is none."""


class FastSamPredictor:
    """Finds the objects of a photo once, then answers any number of prompts.

    Not safe for use from several threads at once: it holds one photo.
    """

    def __init__(
        self, network: Session, *, square: bool = True, rule: DetectionRule | None = None
    ) -> None:
        """Use an opened graph.

        Args:
            network: `image` in; boxes, scores, coefficients and prototypes out.
            square: whether its input is FRAME x FRAME; else any multiple of 32 up to that.
            rule: what counts as an object; None takes upstream's.
        """
        self._network = network
        self._square = square
        self._rule = rule or DetectionRule()
        self._found: Detections | None = None

    def set_image(self, photo: PhotoLike) -> None:
        """Find the objects of a photo; all prompts refer to it until the next one.

        Raises:
            BadInput: it cannot be read. No photo is set then, not even the one before.
        """
        self._found = None
        pixels = load_photo(photo)
        place = placed((pixels.shape[0], pixels.shape[1]), FRAME, square=self._square)
        raw = self._network.run({"image": letterboxed(pixels, place)})
        self._found = detect(raw, place, self._rule)

    def everything(self) -> tuple[Sequence[BoolArray], FloatArray]:
        """Masks [H, W], made one at a time, and scores [K], best first.

        Raises:
            BadInput: no photo was set.
        """
        found = self._objects()
        return Masks(found), found.scores

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
    ) -> Selection:
        """The objects that points or a box mean, in SAM's calling convention.

        Points: from the largest object to the smallest, each foreground point adds the object that
        it lies in, each background point takes it away. Box: the object with the best IoU.

        Raises:
            BadInput: no photo was set, the prompt is wrong, or it has both points and a box.
        """
        found = self._objects()
        prompt = Prompt.checked(points=points, labels=labels, box=box, photo_size=found.place.photo)
        if prompt.box is None:
            return _pointed_at(found, prompt)
        if len(prompt.points):
            raise BadInput(
                "FastSAM takes points or a box, not both at once.",
                expected="one kind of prompt",
                next_step="leave one out, or use a model with a decoder",
            )
        return _boxed(found, prompt.box)

    def _objects(self) -> Detections:
        if self._found is None:
            raise BadInput(
                "No photo is set.",
                expected="a photo before the first prompt",
                next_step="predictor.set_image(photo)",
            )
        return self._found


def _pointed_at(found: Detections, prompt: Prompt) -> Selection:
    masks = Masks(found)
    pixels = np.minimum(prompt.points, np.array(found.place.photo[::-1]) - 1).astype(np.int64)
    hit = [i for i in range(len(masks)) if _any_inside(found.boxes[i], pixels)]
    by_area = sorted(hit, key=lambda index: int(masks[index].sum()), reverse=True)
    union, score = np.zeros(found.place.photo, dtype=np.bool_), 0.0
    for index in by_area:
        mask = masks[index]
        for (x, y), label in zip(pixels, prompt.labels, strict=True):
            if mask[y, x]:
                union[mask] = bool(label)
                score = max(score, float(found.scores[index]) if label else 0.0)
    return Selection(union, score)


def _any_inside(box: FloatArray, pixels: npt.NDArray[np.int64]) -> bool:
    """Whether a mask that is cut to this box can hold one of the pixels [N, 2]."""
    return bool(((pixels >= box[:2]) & (pixels < box[2:])).all(axis=1).any())


def _boxed(found: Detections, box: npt.NDArray[np.float64]) -> Selection:
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    area = (x1 - x0) * (y1 - y0)
    best, best_overlap = -1, -1.0
    masks = Masks(found)
    for index, mask in enumerate(masks):
        shared = int(mask[y0:y1, x0:x1].sum())
        overlap = shared / (area + int(mask.sum()) - shared)
        if overlap > best_overlap:
            best, best_overlap = index, overlap
    if best < 0:
        return Selection(np.zeros(found.place.photo, dtype=np.bool_), 0.0)
    return Selection(masks[best], float(found.scores[best]))
