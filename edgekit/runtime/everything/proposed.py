"""Points where a proposal network is confident: fewer prompts than a grid, where the objects are.

The idea is that of Lite-SAM (arXiv 2407.08965) and AoP-SAM (arXiv 2505.11980): predict where to
prompt. Network and rule are edgekit's own (see `runtime.proposals`). The masks of the points pass
the same filters as those of a grid.
"""

from __future__ import annotations

import numpy as np

from edgekit.records import EverythingRule, FloatArray, Preprocessing, Segment
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.everything.found import found_by_points, without_duplicates
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.prediction import Size
from edgekit.runtime.preprocess import placement
from edgekit.runtime.proposals import ProposalNetwork
from edgekit.runtime.suppression import suppress_overlaps

LEAST = 0.02
"""Confidence below which a cell is no proposal."""

_TOUCHING = 0.1
"""IoU of boxes of two cells' side above which they are neighbours, also at a corner (1 / 7)."""


def segments_by_proposals(scene: Scene, network: ProposalNetwork) -> list[Segment]:
    """The objects of a photo, by falling score.

    Raises:
        BadInput: the network does not fit the encoder's output (see `confidence`).
    """
    rule, view = scene.rule, scene.view()
    answers = view.answers
    confidence = network.confidence(answers.features)
    points = proposed_points(confidence, scene.size, answers.client.preprocessing, rule=rule)
    advance = scene.counting(len(points))
    segments = [found.segment for found in found_by_points(points, view, rule, advance)]
    scores = [segment.predicted_iou for segment in segments]
    return without_duplicates(segments, scores, overlap=rule.overlap)


def proposed_points(
    confidence: FloatArray, size: Size, preprocessing: Preprocessing, *, rule: EverythingRule
) -> Coordinates:
    """The middles [N, 2] of the most confident cells, in the photo's pixels, best first.

    Of neighbouring cells the best one counts. At most `rule.points` are returned.

    Args:
        confidence: [grid, grid], of the cells of the encoder's input.
        size: (height, width) of the photo.
        preprocessing: says where the photo lies in that input.
        rule: how many points.
    """
    grid, place = len(confidence), placement(size, preprocessing)
    scale = np.array(place.resized) / size
    cells = np.stack(np.divmod(np.arange(grid * grid), grid), axis=1)  # row, column
    middles = ((cells + 0.5) * preprocessing.frame / grid - place.corner) / scale
    proposed = (confidence.ravel() >= LEAST) & ((middles > 0) & (middles < size)).all(axis=1)
    boxes = np.concatenate([cells - 1, cells + 1], axis=1)[proposed].astype(np.float32)
    best = suppress_overlaps(
        boxes, confidence.ravel()[proposed], overlap=_TOUCHING, most=rule.points
    )
    points: Coordinates = middles[proposed][best][:, ::-1]
    return points
