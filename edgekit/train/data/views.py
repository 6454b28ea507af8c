"""Views of canvases: a random part of a photo at a random scale, resampled on the device.

A view is an affine map `theta` [2, 3] from the output to the canvas, both in [-1, 1], as
`torch.nn.functional.affine_grid` takes it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.train.data.random_numbers import uniform

_LIFTED = 0.6
"""How far down a photo that is smaller than its view may lie, as a share of the room."""


def whole_view(count: int, device: torch.device) -> Tensor:
    """Views [count, 2, 3] of the whole canvas: what the encoder sees at inference."""
    return torch.eye(2, 3, device=device).repeat(count, 1, 1)


def random_views(extents: Tensor, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Random views [B, 2, 3] of photos with these extents [B, 2]; half of them are mirrored.

    A scale above 1 shows a part of the photo, one below 1 the photo with a margin.
    """
    count = len(extents)
    zoom = torch.exp(uniform(math.log(scale[0]), math.log(scale[1]), (count, 1), generator))
    seen = 1 / zoom  # side of the view as a share of the canvas
    place = uniform(0, 1, (count, 2), generator)
    room = extents - seen
    lifted = torch.tensor([1.0, _LIFTED], device=room.device)
    start = place * torch.where(room > 0, room, room * lifted)
    middle = 2 * (start + seen / 2) - 1
    mirrored = torch.rand(count, 1, generator=generator, device=room.device) < 0.5
    across = torch.where(mirrored, -seen, seen)
    none = torch.zeros_like(seen)
    rows = torch.cat([across, none, middle[:, :1]], 1), torch.cat([none, seen, middle[:, 1:]], 1)
    return torch.stack(rows, 1)


def whole_views(extents: Tensor, generator: torch.Generator) -> Tensor:
    """Views [B, 2, 3] as at inference, half of them mirrored within the photo's own extent."""
    views = whole_view(len(extents), extents.device)
    mirrored = torch.rand(len(extents), generator=generator, device=extents.device) < 0.5
    views[:, 0, 0] = torch.where(mirrored, -1.0, 1.0)
    views[:, 0, 2] = torch.where(mirrored, 2 * extents[:, 0] - 2, 0.0)
    return views


def resampled(images: Tensor, views: Tensor, side: int) -> Tensor:
    """Images [B, C, H, W] as their views show them, [B, C, side, side]; 0 beside the canvas."""
    grid = F.affine_grid(views, [len(views), 1, side, side], align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


def shown(extents: Tensor, views: Tensor, side: int) -> Tensor:
    """Which pixels [B, 1, side, side] of a view show the photo, as 0 or 1."""
    grid = F.affine_grid(views, [len(views), 1, side, side], align_corners=False)
    far = (2 * extents - 1)[:, None, None, :]
    return ((grid >= -1) & (grid <= far)).all(dim=3, keepdim=True).permute(0, 3, 1, 2).float()


def recoloured(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Images [B, 3, H, W] in 0-255 with other brightness, contrast, saturation, tint and gamma.

    A twentieth of them are grey, a fifth stay as they are, and half are sharpened: photos on a
    canvas are softer than at their full size.
    """

    def drawn(low: float, high: float, channels: int = 1) -> Tensor:
        return uniform(low, high, (len(rgb), channels, 1, 1), generator)

    image = (rgb / 255).clamp(0, 1) ** torch.exp(drawn(-0.3, 0.3))
    grey = image.mean(1, keepdim=True)
    saturation = drawn(0.5, 1.5) * (drawn(0, 1) > 0.05)
    image = grey + (image - grey) * saturation
    middle = image.mean((1, 2, 3), keepdim=True)
    image = middle + (image - middle) * drawn(0.7, 1.3)
    image = (image * drawn(0.9, 1.1, 3) * drawn(0.7, 1.3)).clamp(0, 1) * 255
    image = torch.where(drawn(0, 1) < 0.8, image, rgb)
    edges = image - F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    strength = drawn(0, 2) * (drawn(0, 1) < 0.5)
    return (image + strength * edges).clamp(0, 255)
