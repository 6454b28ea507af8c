"""Annotated photos as bytes on one device: each on a square canvas, beside its masks.

A canvas keeps a photo as the encoder's frame does: in the top left corner, its long side as long as
the canvas. A step then draws views, pasted objects and prompts as tensors, on a GPU without a copy
from the CPU. A photo takes 1.2 MB and a mask 0.1 MB, whatever their size in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from edgekit.train.data.annotations import AnnotatedPhoto, Region

SIDE = 640
"""Pixels of a canvas: the long side of COCO's photos."""
MASK_SIDE = SIDE // 2

_STUFF = 0.1
"""How often background material (sky, grass) is drawn, against a thing of the same size."""
_SMALLEST = 160
"""Pixels of the canvas, which are 26 of a mask at low resolution; smaller regions are left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvases:
    """N photos with M masks, sorted by photo. Each photo has a mask at least.

    rgb: [N, SIDE, SIDE, 3] uint8, black beside the photo. extents: [N, 2], width and height of the
    photo as shares of the canvas. masks: [M, MASK_SIDE, MASK_SIDE] uint8, coverage from 0 to 255.
    starts: [N + 1], the first mask of each photo, and M. shares: [M + 1] float64, the sum of the
    weights of all masks before; a mask is drawn in proportion to its weight. pasted: [P], the
    masks that may be pasted into other photos.
    """

    rgb: Tensor
    extents: Tensor
    masks: Tensor
    starts: Tensor
    shares: Tensor
    pasted: Tensor

    def __len__(self) -> int:
        return len(self.rgb)

    def to(self, device: torch.device) -> Canvases:
        """The same on a device."""
        return Canvases(**{each.name: getattr(self, each.name).to(device) for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """One photo: `rgb` [SIDE, SIDE, 3], its `extent` (width, height), and its regions' masks."""

    rgb: npt.NDArray[np.uint8]
    extent: tuple[float, float]
    masks: tuple[npt.NDArray[np.uint8], ...]
    weights: tuple[float, ...]
    things: tuple[bool, ...]


def memory_of(photos: int, masks: int) -> int:
    """Bytes that the canvases of so many photos and masks take."""
    return photos * SIDE * SIDE * 3 + masks * MASK_SIDE * MASK_SIDE


def canvas_of(photo: AnnotatedPhoto) -> Canvas:
    """A photo on its canvas. Regions that are too small there are left out."""
    height, width = photo.pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    kept = [region for region in photo.regions if region.area * scale**2 >= _SMALLEST]
    return Canvas(
        rgb=_placed(photo.pixels, size, side=SIDE),
        extent=(size[0] / SIDE, size[1] / SIDE),
        masks=tuple(_mask(region, (height, width), size) for region in kept),
        # Most of COCO's regions are small, and in the frame most of those are not scored.
        weights=tuple(float(np.sqrt(r.area)) * (1 if r.thing else _STUFF) for r in kept),
        things=tuple(region.thing for region in kept),
    )


def _mask(region: Region, shape: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    whole = np.zeros(shape, np.uint8)
    height, width = region.mask.shape
    whole[region.top : region.top + height, region.left : region.left + width] = region.mask
    halved = max(1, round(size[0] / 2)), max(1, round(size[1] / 2))
    return _placed(whole, halved, side=MASK_SIDE)


def _placed(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], *, side: int
) -> npt.NDArray[np.uint8]:
    """The pixels resized to (width, height), in the top left corner of a black square."""
    square = np.zeros((side, side, *pixels.shape[2:]), np.uint8)
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    square[: size[1], : size[0]] = np.asarray(resized)
    return square


def stacked(canvases: Sequence[Canvas]) -> Canvases:
    """All photos that have a mask, as tensors on the CPU."""
    kept = [canvas for canvas in canvases if canvas.masks]
    counts = np.array([len(canvas.masks) for canvas in kept], np.int64)
    weights = np.array([weight for canvas in kept for weight in canvas.weights], np.float64)
    things = np.array([thing for canvas in kept for thing in canvas.things], bool)
    masks = [mask for canvas in kept for mask in canvas.masks]
    return Canvases(
        rgb=_tensor([canvas.rgb for canvas in kept], (SIDE, SIDE, 3)),
        extents=torch.tensor([canvas.extent for canvas in kept]).reshape(-1, 2),
        masks=_tensor(masks, (MASK_SIDE, MASK_SIDE)),
        starts=torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        shares=torch.from_numpy(np.concatenate([[0.0], np.cumsum(weights)])),
        pasted=torch.from_numpy(np.flatnonzero(things)),
    )


def _tensor(arrays: Sequence[npt.NDArray[np.uint8]], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.stack(arrays) if arrays else np.zeros((0, *shape), np.uint8))
