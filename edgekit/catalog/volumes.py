"""Volumes made of numbers: there are no scans to ship, and verification needs inputs.

A volume resembles a CT: air is 0, and ellipsoids of different brightness overlap, with noise inside
them. It depends on its seed and side alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ELLIPSOIDS = 8
_NOISE = 60.0

Voxel = tuple[int, int, int]
"""An index along each axis of a volume."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeededVolume:
    """A volume, and the voxel in the middle of each of its ellipsoids, the largest one's first."""

    id: str
    voxels: npt.NDArray[np.int16]
    """[side, side, side]."""
    centres: tuple[Voxel, ...]


def seeded_volume(seed: int, side: int) -> SeededVolume:
    """The volume of a seed, with `side` voxels along each axis."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0.25, 0.75, (ELLIPSOIDS, 3)) * side
    semi_axes = random.uniform(0.08, 0.25, (ELLIPSOIDS, 3)) * side
    heights = random.uniform(200, 800, ELLIPSOIDS)
    value = np.zeros((side, side, side))
    for centre, axes, height in zip(centres, semi_axes, heights, strict=True):
        value += height * np.maximum(0.0, 1.0 - _squared_distance(side, centre, axes))
    value += random.uniform(0, _NOISE, value.shape) * (value > 0)
    large_first = np.argsort(-semi_axes.prod(axis=1))
    return SeededVolume(
        id=f"seeded volume {seed}",
        voxels=value.astype(np.int16),
        centres=tuple(_voxel(centres[index]) for index in large_first),
    )


def _squared_distance(
    side: int, centre: npt.NDArray[np.float64], axes: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[side, side, side]: the squared distance of each voxel from an ellipsoid, 1 on its skin."""
    places = (np.arange(side)[:, None] + 0.5 - centre) / axes
    first, second, third = (places**2).T
    distance: npt.NDArray[np.float64] = (
        first[:, None, None] + second[None, :, None] + third[None, None, :]
    )
    return distance


def _voxel(place: npt.NDArray[np.float64]) -> Voxel:
    first, second, third = (int(along) for along in place)
    return first, second, third
