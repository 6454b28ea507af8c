"""Operators that change the resolution of the last two axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.emulation.mil.operands import Operands

Grid = Callable[[int, int], Tensor]
"""From input and output size to the sampling positions, in pixels of the input."""


def _corners(size: int, wanted: int) -> Tensor:
    """First on first and last on last; a single position on the first ("STRICT_ALIGN_CORNERS")."""
    return torch.arange(wanted) * ((size - 1) / max(wanted - 1, 1))


def _aligned(size: int, wanted: int) -> Tensor:
    """As `_corners`, but a single position in the middle ("ALIGN_CORNERS")."""
    return torch.tensor([(size - 1) / 2]) if wanted == 1 else _corners(size, wanted)


def _half_pixel(size: int, wanted: int) -> Tensor:
    """Pixel centres on pixel centres ("UNALIGN_CORNERS")."""
    return (torch.arange(wanted) + 0.5) * (size / wanted) - 0.5


def _upper_left(size: int, wanted: int) -> Tensor:
    """Equal steps from the first pixel, aligned to neither corners nor centres ("DEFAULT")."""
    return torch.arange(wanted) * (size / wanted)


def _offset(size: int, wanted: int) -> Tensor:
    """Half a step inside both ends ("OFFSET_CORNERS")."""
    return (torch.arange(wanted) + 0.5) * (max(1, size - 1) / wanted)


_SAMPLING: dict[str, Grid] = {
    "STRICT_ALIGN_CORNERS": _corners,
    "ALIGN_CORNERS": _aligned,
    "DEFAULT": _upper_left,
    "OFFSET_CORNERS": _offset,
    "UNALIGN_CORNERS": _half_pixel,
}


def upsample_bilinear(given: Operands) -> Tensor:
    """Bilinear by factors: torch's `align_corners` true or false, or neither."""
    x = given.tensor("x")
    corners = given.flag("align_corners", default=True)
    centres = given.flag("half_pixel_centers", default=not corners)
    grid = _corners if corners else _half_pixel if centres else _upper_left
    return _bilinear(x, _scaled_size(given, x), grid)


def resize_bilinear(given: Operands) -> Tensor:
    """Bilinear to a size, at the positions of `sampling_mode`."""
    size = given.integer("target_size_height", 1), given.integer("target_size_width", 1)
    return _bilinear(given.tensor("x"), size, _SAMPLING[given.text("sampling_mode", "DEFAULT")])


def upsample_nearest(given: Operands) -> Tensor:
    """Nearest neighbour by factors."""
    x = given.tensor("x")
    return _nearest(x, _scaled_size(given, x))


def resize_nearest(given: Operands) -> Tensor:
    """Nearest neighbour to a size."""
    size = given.integer("target_size_height"), given.integer("target_size_width")
    return _nearest(given.tensor("x"), size)


def resample(given: Operands) -> Tensor:
    """Bilinear samples of x [N, C, H, W], which is zero outside, at places [N, h, w, 2].

    A place is x, y from -1 to 1: between the middles of the outer pixels, or between the edges.
    """
    known = (
        given.text("sampling_mode", "bilinear") == "bilinear"
        and given.text("padding_mode", "constant") == "constant"
        and given.text("coordinates_mode", "normalized_minus_one_to_one")
        == "normalized_minus_one_to_one"
    )
    if not known or given.number("padding_value", 0):
        raise NotImplementedError("resample in a mode other than bilinear with zeros outside")
    corners = given.flag("align_corners")
    return F.grid_sample(given.tensor("x"), given.tensor("coordinates"), align_corners=corners)


def crop(given: Operands) -> Tensor:
    """Remove rows and columns at both ends; the inputs are (first, last)."""
    x = given.tensor("x")
    (top, bottom), (left, right) = given.integers("crop_height"), given.integers("crop_width")
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _scaled_size(given: Operands, x: Tensor) -> tuple[int, int]:
    """The result's height and width. As in torch, the factor is recomputed from them."""
    height = int(x.shape[-2] * given.number("scale_factor_height", 1))
    return height, int(x.shape[-1] * given.number("scale_factor_width", 1))


def _bilinear(x: Tensor, size: tuple[int, int], grid: Grid) -> Tensor:
    rows = _interpolation(x.shape[-2], size[0], grid)
    columns = _interpolation(x.shape[-1], size[1], grid)
    return rows @ x @ columns.mT


def _interpolation(size: int, wanted: int, grid: Grid) -> Tensor:
    """Linear interpolation along one axis as a matrix [wanted, size]; the ends are repeated."""
    places = grid(size, wanted).to(torch.float32).clamp(0, size - 1)
    lower = places.floor().long()
    upper = (lower + 1).clamp(max=size - 1)
    share = (places - lower).unsqueeze(1)
    identity = torch.eye(size)
    return identity[lower] * (1 - share) + identity[upper] * share


def _nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    for axis, wanted in zip((-2, -1), size, strict=True):
        chosen = torch.arange(wanted) * x.shape[axis] // wanted
        x = x.index_select(axis, chosen)
    return x


RESAMPLING: dict[str, Callable[[Operands], Tensor]] = {
    "crop": crop,
    "resample": resample,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest,
}
