"""Random prompts for regions, drawn from their coverage on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.records import Label
from edgekit.train.data.scenes import REDUCTION

SLOTS = 6
"""Points per training prompt: three points, the two corners of a box, and one for a correction."""

KINDS = ("box", "point", "points", "box_point")

_CENTRAL = 0.4
"""The share of points that are placed where the region is thickest, as a person clicks."""
_JITTERED = 0.5
"""The share of boxes that are not exact."""
_NEAR = 33
"""Low-resolution pixels: background points lie within half of it from the region."""
_BLURS = (5, 13, 29, 61)
"""Low-resolution pixels: windows whose means tell how deep in a region a pixel lies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledPrompts:
    """B prompts: `coords` [B, SLOTS, 2] in pixels of the scene, `labels` [B, SLOTS] codes of
    `records.Label`, and `kinds` [B], places in `KINDS`."""

    coords: Tensor
    labels: Tensor
    kinds: Tensor


def sample_prompts(
    covers: Tensor, generator: torch.Generator, *, mix: Sequence[float]
) -> SampledPrompts:
    """Draw a prompt for each region with coverage `covers` [B, S / 4, S / 4].

    `mix` are the probabilities of `KINDS`. "points" are two or three points, the last one on the
    background in half of the cases. An empty region gets a prompt that means nothing.
    """
    count, device = len(covers), covers.device
    chances = torch.tensor(mix, dtype=torch.float32, device=device)
    kinds = torch.multinomial(chances, count, replacement=True, generator=generator)
    box, point, points, both = (kinds == place for place in range(len(KINDS)))
    inside = (covers > 0.5).float()
    outside = _near(inside) * (covers < 0.05)
    third = points & (_share(count, generator) < 0.5)
    background = points & (_share(count, generator) < 0.5) & outside.flatten(1).any(1)
    second = torch.where(background[:, None], _drawn(outside, generator), _drawn(inside, generator))
    corners = _boxes(inside, generator)
    slots = (
        (_clicked(inside, generator), point | points | both, Label.FOREGROUND),
        (_drawn(inside, generator), third, Label.FOREGROUND),
        (second, points, torch.where(background, Label.BACKGROUND, Label.FOREGROUND)),
        (corners[:, :2], box | both, Label.BOX_TOP_LEFT),
        (corners[:, 2:], box | both, Label.BOX_BOTTOM_RIGHT),
        (torch.zeros_like(second), torch.zeros_like(box), Label.EMPTY),
    )
    labels = [torch.where(used, label, int(Label.EMPTY)).float() for _, used, label in slots]
    coords = [torch.where(used[:, None], place, 0.0) for place, used, _ in slots]
    return SampledPrompts(
        coords=torch.stack(coords, dim=1), labels=torch.stack(labels, dim=1), kinds=kinds
    )


def _share(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)


def _near(inside: Tensor) -> Tensor:
    tall = F.max_pool2d(inside[:, None], (_NEAR, 1), 1, (_NEAR // 2, 0))
    return F.max_pool2d(tall, (1, _NEAR), 1, (0, _NEAR // 2))[:, 0]


def _drawn(candidates: Tensor, generator: torch.Generator) -> Tensor:
    """A random place [B, 2], in pixels of the scene, on a candidate of each map [B, h, w]."""
    cells = torch.multinomial(candidates.flatten(1) + 1e-9, 1, generator=generator)[:, 0]
    return _places(cells, candidates.shape[2], generator)


def _clicked(inside: Tensor, generator: torch.Generator) -> Tensor:
    """As `_drawn`, but often where the region is thickest."""
    thickest = (_depth(inside) * inside).flatten(1).argmax(1)
    central = (_share(len(inside), generator) < _CENTRAL)[:, None]
    middle = _places(thickest, inside.shape[2], generator)
    return torch.where(central, middle, _drawn(inside, generator))


def _places(cells: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Random places within low-resolution pixels [B], in pixels of the scene."""
    corner = torch.stack([cells % width, cells // width], dim=1)
    within = torch.rand((len(cells), 2), generator=generator, device=cells.device)
    return (corner + within) * REDUCTION


def _depth(inside: Tensor) -> Tensor:
    """How deep in its region each pixel lies: the sum of its means over several windows."""
    depth = torch.zeros_like(inside)
    for size in _BLURS:
        tall = F.avg_pool2d(inside[:, None], (size, 1), 1, (size // 2, 0))
        depth = depth + F.avg_pool2d(tall, (1, size), 1, (0, size // 2))[:, 0]
    return depth


def _boxes(inside: Tensor, generator: torch.Generator) -> Tensor:
    """Boxes [B, 4] around regions, in pixels of the scene; some are jittered."""
    exact = boxes_around(inside)
    sides = (exact[:, 2:] - exact[:, :2]).repeat(1, 2)
    noise = torch.randn((len(inside), 4), generator=generator, device=inside.device) * 0.06
    limit = 20 * inside.shape[1] * REDUCTION / 1024
    off = (noise.clamp(-0.15, 0.15) * sides).clamp(-limit, limit)
    jittered = (_share(len(inside), generator) < _JITTERED)[:, None]
    return torch.where(jittered, exact + off, exact)


def boxes_around(inside: Tensor) -> Tensor:
    """The exact boxes [B, 4] (x0, y0, x1, y1) of regions [B, h, w], in pixels of the scene."""
    height, width = inside.shape[1:]
    edges = []
    for occupied, length in ((inside.amax(1), width), (inside.amax(2), height)):
        place = torch.arange(length, device=inside.device)
        edges.append(torch.where(occupied > 0, place, length).amin(1))
        edges.append(torch.where(occupied > 0, place + 1, 0).amax(1))
    x0, x1, y0, y1 = edges
    return torch.stack([x0, y0, x1, y1], dim=1).float() * REDUCTION
