"""A decoder over a photo of known rectangles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.records import Feeds, FloatArray

SIZE = (256, 256)
"""The photo's size: each pixel is one low-res logit, so masks are exact."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A rectangle x0, y0, x1, y1 with the score that its mask gets.

    Logits are `logit` inside and -9 outside, except in a hem of `hem` pixels around the mask, where
    they are -0.5: not in the mask, but near it. `also` is a second rectangle of the same mask.
    """

    box: Box
    score: float = 0.9
    logit: float = 9.0
    hem: int = 0
    also: Box | None = None


@dataclass
class Decoder:
    """Answers a point with the first thing that holds it; without one, with empty masks.

    Mask 1 is the thing; masks 0, 2 and 3 are empty and have a score of 0. For a box, mask 0 is it.
    """

    things: tuple[Thing, ...]
    points: list[tuple[float, float]] = field(default_factory=list)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        answers = [
            self.answer(places, labels)
            for places, labels in zip(feeds["point_coords"], feeds["point_labels"], strict=True)
        ]
        low_res = np.full((len(answers), 4, 256, 256), -9, np.float32)
        scores = np.zeros((len(answers), 4), np.float32)
        for index, (mask, thing) in enumerate(answers):
            if thing:
                low_res[index, mask] = logits_of(thing)
                scores[index, mask] = thing.score
        return {"low_res_masks": low_res, "iou_predictions": scores}

    def answer(self, places: FloatArray, labels: FloatArray) -> tuple[int, Thing | None]:
        if 2 in labels:
            x0, y0, x1, y1 = (places[:2] / 4).ravel().round().astype(int).tolist()
            return 0, Thing(box=(x0, y0, x1, y1))
        x, y = (places[0] / 4).tolist()
        self.points.append((x, y))
        return 1, next((thing for thing in self.things if holds(thing.box, x, y)), None)


class Encoder:
    def __init__(self) -> None:
        self.images: list[FloatArray] = []

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        self.images.append(feeds["image"])
        return {"image_embeddings": np.zeros((1, 1, 1, 1), np.float32)}


def holds(box: Box, x: float, y: float) -> bool:
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def logits_of(thing: Thing) -> FloatArray:
    logits = np.full((256, 256), -9, np.float32)
    for x0, y0, x1, y1 in filter(None, (thing.box, thing.also)):
        hem = thing.hem
        logits[max(0, y0 - hem) : y1 + hem, max(0, x0 - hem) : x1 + hem] = -0.5
    for x0, y0, x1, y1 in filter(None, (thing.box, thing.also)):
        logits[y0:y1, x0:x1] = thing.logit
    return logits
