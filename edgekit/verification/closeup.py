"""A close-up of the worst prompt, small enough to lie beside a result and in a report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from edgekit.errors import BadInput
from edgekit.records import BoolArray
from edgekit.verification.picture import panel, panels
from edgekit.verification.prompts import Trial
from edgekit.verification.verdict import PromptMasks, Verdict

WIDTH, HEIGHT = 320, 240
"""The most pixels of one of the three panels."""
MOST_BYTES = 60_000
_QUALITIES = (85, 70, 50, 30, 10)
_GAP = 4
_NARROWEST = 64
"""Pixels of the photo: a narrower part shows nothing of what surrounds a mask."""


def worst_closeup(verdict: Verdict) -> bytes:
    """The worst prompt as a JPEG of at most `MOST_BYTES`.

    Its three panels show the part of the photo around the masks: with the reference's mask, with
    the candidate's, and with the difference of their logits, as in `comparison_picture`.

    Raises:
        BadInput: no prompt was run.
    """
    if not verdict.worst_masks:
        raise BadInput("There is no picture to draw: no prompt was run.")
    pair = verdict.worst_masks[0]
    rows, columns = _part(pair)
    tall, wide = rows.stop - rows.start, columns.stop - columns.start
    width = max(1, round(wide * min(WIDTH / wide, HEIGHT / tall)))
    trial = _moved(pair.result.trial, left=columns.start, top=rows.start)
    return _jpeg([panel(each[rows, columns], trial, width=width) for each in panels(pair)])


def _part(pair: PromptMasks) -> tuple[slice, slice]:
    """Rows and columns of twice the extent of both masks and the prompt, or all of the photo."""
    height, width = pair.reference.shape
    x, y = _spots(pair.reference | pair.candidate, pair.result.trial)
    if not x.size:
        return slice(0, height), slice(0, width)
    extent = max(np.ptp(x) + 1, (np.ptp(y) + 1) * WIDTH / HEIGHT)
    wide = max(2 * extent, _NARROWEST)
    rows = _around((y.min() + y.max()) / 2, wide * HEIGHT / WIDTH, within=height)
    return rows, _around((x.min() + x.max()) / 2, wide, within=width)


def _spots(masks: BoolArray, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """x and y of all pixels of the masks, of the points and of the box's corners."""
    y, x = np.nonzero(masks)
    prompted = [*trial.points, *((trial.box[:2], trial.box[2:]) if trial.box else ())]
    return (
        np.concatenate([x, [spot[0] for spot in prompted]]),
        np.concatenate([y, [spot[1] for spot in prompted]]),
    )


def _around(middle: float, length: float, *, within: int) -> slice:
    """`length` pixels around a middle, moved and shortened to lie within the photo."""
    taken = min(round(length), within)
    start = min(max(round(middle - taken / 2), 0), within - taken)
    return slice(start, start + taken)


def _moved(trial: Trial, *, left: int, top: int) -> Trial:
    """The trial in coordinates of a part of the photo."""
    points = tuple((x - left, y - top) for x, y in trial.points)
    if trial.box is None:
        return replace(trial, points=points)
    x0, y0, x1, y1 = trial.box
    return replace(trial, points=points, box=(x0 - left, y0 - top, x1 - left, y1 - top))


def _jpeg(shown: Sequence[Image.Image]) -> bytes:
    """Panels side by side, in the best quality that is small enough."""
    width = shown[0].width + _GAP
    row = Image.new("RGB", (width * len(shown) - _GAP, shown[0].height), "grey")
    for column, each in enumerate(shown):
        row.paste(each, (column * width, 0))
    for quality in _QUALITIES:
        written = io.BytesIO()
        row.save(written, "JPEG", quality=quality)
        if written.tell() <= MOST_BYTES:
            break
    return written.getvalue()
