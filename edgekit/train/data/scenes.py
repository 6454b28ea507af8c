"""Training scenes: a view of each photo with an object of another pasted, and masks to prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.train.data.canvases import Canvases
from edgekit.train.data.random_numbers import uniform
from edgekit.train.data.views import random_views, recoloured, resampled, shown, whole_views

REDUCTION = 4
"""Mask logits have a quarter of the frame's resolution."""
_SMALLEST = 24
"""Low-resolution pixels of a whole frame; regions with fewer are not prompted."""
_SHIFT = 0.25
"""How far a pasted object moves from its place, as a share of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneStyle:
    """How scenes of a phase are composed.

    whole: the share of photos that are placed as at inference. scale: the range of the others'
    scale. pasted: the share of scenes into which an instance of another photo is pasted.
    pasted_scale: the range of its scale.
    """

    whole: float = 0.4
    scale: tuple[float, float] = (0.7, 1.9)
    pasted: float = 0.5
    pasted_scale: tuple[float, float] = (0.5, 1.6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenes:
    """K scenes with P masks each.

    rgb: [K, 3, S, S] in 0-255. valid: [K, 1, S, S], 1 where there is a photo. covers: [K * P,
    S / 4, S / 4], coverage in [0, 1], sorted by scene. usable: [K * P], whether the mask is large
    enough to be prompted.
    """

    rgb: Tensor
    valid: Tensor
    covers: Tensor
    usable: Tensor


def compose(
    photos: Canvases,
    chosen: Tensor,
    generator: torch.Generator,
    *,
    side: int,
    masks: int,
    style: SceneStyle,
) -> Scenes:
    """Compose a scene of `side` pixels from each photo in `chosen` [K], with `masks` of its masks.

    Where an object is pasted, it takes the place of the first mask and hides what is below it.
    """
    extents = photos.extents[chosen]
    views = _views(extents, style, generator)
    valid = shown(extents, views, side)
    rgb = resampled(_images(photos, chosen), views, side)
    low = side // REDUCTION
    drawn = _drawn_masks(photos, chosen, masks, generator)
    covers = resampled(_coverage(photos, drawn), views, low)
    pasted, alpha = _pasted(photos, len(chosen), generator, side=side, style=style)
    rgb = rgb * (1 - alpha) + pasted * alpha
    covers = _with_pasted(covers, F.avg_pool2d(alpha, REDUCTION)) * F.avg_pool2d(valid, REDUCTION)
    covers = covers.flatten(0, 1)
    return Scenes(
        rgb=(recoloured(rgb, generator) * valid).contiguous(memory_format=torch.channels_last),
        valid=valid,
        covers=covers,
        usable=(covers > 0.5).sum((1, 2)) >= _smallest(side),
    )


def _smallest(side: int) -> float:
    return max(10.0, _SMALLEST * (side / 1024) ** 2)


def _views(extents: Tensor, style: SceneStyle, generator: torch.Generator) -> Tensor:
    """Views [K, 2, 3]: of whole photos, as at inference, or at random."""
    share = torch.rand(len(extents), generator=generator, device=extents.device)
    whole, part = whole_views(extents, generator), random_views(extents, style.scale, generator)
    return torch.where((share < style.whole)[:, None, None], whole, part)


def _images(photos: Canvases, chosen: Tensor) -> Tensor:
    return photos.rgb[chosen].permute(0, 3, 1, 2).float()


def _coverage(photos: Canvases, masks: Tensor) -> Tensor:
    """The masks with these indices [K, P] as coverage [K, P, h, w] in [0, 1]."""
    return photos.masks[masks].float() / 255


def _drawn_masks(
    photos: Canvases, chosen: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Indices [K, count] of masks of each photo, drawn in proportion to their weights."""
    first, end = photos.starts[chosen, None], photos.starts[chosen + 1, None]
    low, high = photos.shares[first], photos.shares[end]
    place = torch.rand(
        (len(chosen), count), generator=generator, device=low.device, dtype=low.dtype
    )
    index = torch.searchsorted(photos.shares, low + place * (high - low), right=True) - 1
    return index.clamp(first, end - 1)


def _pasted(
    photos: Canvases, count: int, generator: torch.Generator, *, side: int, style: SceneStyle
) -> tuple[Tensor, Tensor]:
    """For each scene an instance of some photo: pixels [K, 3, S, S] and opacity [K, 1, S, S].

    The opacity is 0 where nothing is pasted.
    """
    device = generator.device
    if not len(photos.pasted):
        return torch.zeros(count, 3, side, side, device=device), torch.zeros(
            count, 1, side, side, device=device
        )
    place = torch.randint(len(photos.pasted), (count,), generator=generator, device=device)
    masks = photos.pasted[place]
    owners = torch.searchsorted(photos.starts, masks, right=True) - 1
    views = random_views(photos.extents[owners], style.pasted_scale, generator)
    views[:, :, 2] += 2 * uniform(-_SHIFT, _SHIFT, (count, 2), generator)
    used = torch.rand((count, 1, 1, 1), generator=generator, device=device) < style.pasted
    opacity = resampled(_coverage(photos, masks[:, None]), views, side) * used
    return resampled(_images(photos, owners), views, side), opacity


def _with_pasted(covers: Tensor, pasted: Tensor) -> Tensor:
    """Masks [K, P, h, w] with the pasted object [K, 1, h, w] as the first one, above the others."""
    large = (pasted > 0.5).sum((2, 3), keepdim=True) >= _smallest(REDUCTION * pasted.shape[3])
    hidden = covers * (1 - pasted)
    first = torch.where(large, pasted, hidden[:, :1])
    return torch.cat([first, hidden[:, 1:]], dim=1)
