"""Decode many prompts in one crop, and keep the masks that pass the thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edgekit.records import EverythingRule, FloatArray, MaskChoice, Segment
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.everything.measuring import Measured, measure
from edgekit.runtime.everything.scene import Advance, View
from edgekit.runtime.prediction import Size
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.segments import segment_from
from edgekit.runtime.suppression import suppress_overlaps


class Found(NamedTuple):
    """A mask that passed, with the logits that it was made from."""

    segment: Segment
    measured: Measured


def grid_points(count: int, size: Size) -> Coordinates:
    """`count` x `count` points [N, 2] in the middle of equal cells, row by row, in pixels."""
    height, width = size
    places = (np.arange(count) + 0.5) / count
    x, y = np.meshgrid(places * width, places * height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def found_by_points(
    points: Coordinates, view: View, rule: EverythingRule, advance: Advance
) -> Iterator[Found]:
    """The masks of each point [N, 2], in the crop's pixels, that pass both thresholds.

    The score is looked at first: it costs nothing, and masks that fail it are never enlarged. That
    keeps the masks that upstream keeps, because each threshold looks at one mask alone.
    """
    answers = view.answers
    prompts = [Prompt.checked(points=[point], labels=[1]) for point in points]
    for prompt, low_res, score in decoded_masks(prompts, view, rule.choice, advance):
        if rule.predicted_iou and not score > np.float32(rule.predicted_iou):
            continue
        measured = measure(low_res, answers.size, answers.client, offset=rule.stability_offset)
        if rule.stability and not measured.stability >= np.float32(rule.stability):
            continue  # also where it is NaN: an empty mask
        x, y = (prompt.points[0] + view.crop[:2]).tolist()
        yield Found(replace(segment_in(view, measured, score), point=(x, y)), measured)


def segment_in(view: View, measured: Measured, score: np.float32) -> Segment:
    """The segment of a mask that was measured in a crop, without the prompt that found it."""
    x0, y0, x1, y1 = view.crop
    top, left = measured.corner
    segment = segment_from(
        measured.mask, float(score), photo_size=view.photo_size, corner=(top + y0, left + x0)
    )
    stability = None if np.isnan(measured.stability) else float(measured.stability)
    return replace(segment, stability=stability, crop_box=(x0, y0, x1 - x0, y1 - y0))


def decoded_masks(
    prompts: Sequence[Prompt], view: View, choice: MaskChoice, advance: Advance
) -> Iterator[tuple[Prompt, FloatArray, np.float32]]:
    """Prompt, low-res logits [side, side] and score of each mask, prompt by prompt."""
    decoded = view.answers.decoded(prompts, multimask=choice)
    for prompt, (low_res, scores) in zip(prompts, decoded, strict=True):
        for logits, score in zip(low_res, scores, strict=True):
            yield prompt, logits, score
        advance()


def without_duplicates(
    segments: list[Segment], scores: Sequence[float], *, overlap: float
) -> list[Segment]:
    """The segments to keep, by falling score: of those whose boxes overlap, the best."""
    if not segments:
        return []
    boxes = np.array([segment.box for segment in segments], dtype=np.float32)
    boxes[:, 2:] += boxes[:, :2]
    ranks = np.array(scores, dtype=np.float32)
    return [segments[index] for index in suppress_overlaps(boxes, ranks, overlap=overlap)]
