"""Random prompts for a region, drawn from its coverage map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.records import BoolArray, FloatArray, Label
from edgekit.train.data.scenes import REDUCTION

SLOTS = 5
"""Points per training prompt: up to four, and one for a correction. Unused slots are EMPTY."""

KINDS = ("box", "point", "points", "box_point")
_Placed = tuple[float, float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledPrompt:
    """`coords` [SLOTS, 2] in window pixels, `labels` [SLOTS] codes of `records.Label`."""

    kind: str
    coords: FloatArray
    labels: FloatArray


def sample_prompt(
    cover: FloatArray, rng: np.random.Generator, *, mix: Sequence[float]
) -> SampledPrompt:
    """Draw a prompt for the region with coverage `cover` [S / 4, S / 4].

    `mix` are the probabilities of `KINDS`. Half of the boxes are jittered. "points" are two or
    three points, the last one on the background in half of the cases.
    """
    kind = KINDS[rng.choice(len(KINDS), p=mix)]
    placed: list[_Placed] = []
    if kind in ("point", "points", "box_point"):
        placed.append(_inside(cover, rng, central=bool(rng.random() < 0.4)))
    if kind == "points":
        if rng.random() < 0.5:
            placed.append(_inside(cover, rng, central=False))
        last = _outside(cover, rng) if rng.random() < 0.5 else None
        placed.append(last or _inside(cover, rng, central=False))
    if kind.startswith("box"):
        placed.extend(_box(cover, rng))
    return _padded(kind, placed)


def _padded(kind: str, placed: list[_Placed]) -> SampledPrompt:
    coords = np.zeros((SLOTS, 2), np.float32)
    labels = np.full(SLOTS, Label.EMPTY, np.float32)
    for slot, (x, y, label) in enumerate(placed):
        coords[slot], labels[slot] = (x, y), label
    return SampledPrompt(kind=kind, coords=coords, labels=labels)


def _inside(cover: FloatArray, rng: np.random.Generator, *, central: bool) -> _Placed:
    return _somewhere(cover > 0.5, rng, central=central, label=Label.FOREGROUND)


def _outside(cover: FloatArray, rng: np.random.Generator) -> _Placed | None:
    """A background point near the region: in its box enlarged by half. None if that is filled."""
    rows, columns = np.nonzero(cover > 0.5)
    spread = 4 + max(np.ptp(rows), np.ptp(columns)) // 4
    near = np.zeros(cover.shape, bool)
    top, left = max(rows.min() - spread, 0), max(columns.min() - spread, 0)
    near[top : rows.max() + spread + 1, left : columns.max() + spread + 1] = True
    candidates = near & (cover < 0.05)
    if not candidates.any():
        return None
    return _somewhere(candidates, rng, central=False, label=Label.BACKGROUND)


def _somewhere(
    candidates: BoolArray,
    rng: np.random.Generator,
    *,
    central: bool,
    label: int,
) -> _Placed:
    rows, columns = np.nonzero(candidates)
    index = int(rng.integers(len(rows)))
    if central:
        index = int(np.argmax(_depth(candidates)[rows, columns]))
    x = (columns[index] + rng.random()) * REDUCTION
    y = (rows[index] + rng.random()) * REDUCTION
    return float(x), float(y), label


def _depth(inside: BoolArray) -> FloatArray:
    """Approximate distance of each pixel from the edge: the mean of three box blurs."""
    from PIL import Image, ImageFilter

    image = Image.fromarray(inside.astype(np.uint8) * np.uint8(255))
    reach = float(np.sqrt(np.count_nonzero(inside)))
    blurs = [image.filter(ImageFilter.BoxBlur(reach * part)) for part in (0.1, 0.2, 0.4)]
    depth: FloatArray = np.mean([np.asarray(blur, np.float32) for blur in blurs], axis=0)
    return depth


def _box(cover: FloatArray, rng: np.random.Generator) -> list[_Placed]:
    rows, columns = np.nonzero(cover > 0.5)
    box = REDUCTION * np.array(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64
    )
    if rng.random() < 0.5:
        sides = np.array([box[2] - box[0], box[3] - box[1]])
        noise = rng.normal(0, 0.06, 4).clip(-0.15, 0.15) * np.tile(sides, 2)
        box = box + noise.clip(-20, 20)
    x0, y0, x1, y1 = (float(v) for v in box)
    return [(x0, y0, Label.BOX_TOP_LEFT), (x1, y1, Label.BOX_BOTTOM_RIGHT)]
