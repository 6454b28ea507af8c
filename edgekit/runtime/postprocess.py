"""From the decoder's low-res logits to masks at the photo's size.

Upstream's chains (for example bilinear to the frame, crop, bilinear to the photo) are linear and
separable. Each is composed into one matrix per axis, once per photo size, for all prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, ClientContract, FloatArray
from edgekit.runtime.preprocess import resized_size
from edgekit.runtime.resampling import Band, Matrix, bands_of, bicubic, bilinear, resample

_INTERPOLATIONS = {"bilinear": bilinear, "bicubic": bicubic}
_INSIDE = {"above": np.greater, "at_or_above": np.greater_equal}

_ROUNDING = 1e-3
"""More than float32 rounds a weighted mean of logits up."""


def upscale_logits(
    low_res: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> FloatArray:
    """Logits [..., side, side] at the photo's size: float32 [..., H, W].

    Equal to upstream's chain of `torch.nn.functional.interpolate` to 1e-5 of the logit range.

    Args:
        low_res: the decoder's `low_res_masks`, float32, any leading dimensions.
        photo_size: (height, width) in pixels.
        client: the family's rules (`masks`, `preprocessing`).
    """
    flat = low_res.reshape(-1, *low_res.shape[-2:])
    out = np.empty((len(flat), *photo_size), dtype=np.float32)
    for logits, target in zip(flat, out, strict=True):
        for rows, values in _row_bands(logits, photo_size, client):
            target[rows] = values
    return out.reshape(*low_res.shape[:-2], *photo_size)


def masks_from_logits(
    low_res: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> BoolArray:
    """Masks at the photo's size: bool [..., H, W] for low-res logits [..., side, side].

    Equal to comparing `upscale_logits(...)` with the threshold, but needs no memory for the
    enlarged logits.
    """
    flat = low_res.reshape(-1, *low_res.shape[-2:])
    out = np.empty((len(flat), *photo_size), dtype=np.bool_)
    for logits, target in zip(flat, out, strict=True):
        for rows, values in _row_bands(logits, photo_size, client):
            target[rows] = inside(values, client)
    return out.reshape(*low_res.shape[:-2], *photo_size)


def inside(logits: FloatArray, client: ClientContract) -> BoolArray:
    """Which of the enlarged logits belong to the mask."""
    belongs: BoolArray = _INSIDE[client.masks.inside](logits, client.masks.threshold)
    return belongs


class EnlargedPart(NamedTuple):
    """A part of the logits at the photo's size."""

    logits: FloatArray
    """[h, w]"""
    corner: tuple[int, int]
    """(top, left) in the photo, in pixels."""


def enlarge_above(
    low_res: FloatArray, photo_size: tuple[int, int], client: ClientContract, *, level: float
) -> EnlargedPart:
    """The part of the enlarged logits that holds every pixel above `level`; often a small one.

    A weighted mean is at most the largest of the low-res logits that it mixes, so only what mixes a
    logit above the level is enlarged. Bicubic weights can be negative; then all of it is.

    Args:
        low_res: one mask's `low_res_masks`, float32 [side, side].
        photo_size: (height, width) in pixels.
        client: the family's rules (`masks`, `preprocessing`).
        level: a logit.
    """
    maps = _upscaling(photo_size, client)
    rows, columns = maps.rows, maps.columns
    if maps.means:
        above: BoolArray = low_res > level - _ROUNDING
        rows = _bands_that_mix(rows, np.flatnonzero(above.any(axis=1)))
        columns = _bands_that_mix(columns, np.flatnonzero(above.any(axis=0)))
    if not rows or not columns:
        return EnlargedPart(np.empty((0, 0), dtype=np.float32), (0, 0))
    corner = (rows[0].rows.start, columns[0].rows.start)
    return EnlargedPart(resample(low_res, rows, columns), corner)


def _bands_that_mix(bands: tuple[Band, ...], chosen: npt.NDArray[np.int64]) -> tuple[Band, ...]:
    """The bands that mix low-res rows from the first to the last of the chosen ones."""
    if not len(chosen):
        return ()
    first, last = chosen[0], chosen[-1]
    return tuple(b for b in bands if b.source.start <= last and b.source.stop > first)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Upscaling:
    """The composed linear maps of both axes. Only the first `source_rows` low-res rows are read.

    `means` says that no weight is negative: every result is a weighted mean.
    """

    rows: tuple[Band, ...]
    columns: tuple[Band, ...]
    source_rows: int
    width: int
    means: bool


def _row_bands(
    logits: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> Iterator[tuple[slice, FloatArray]]:
    """Enlarge one low-res map [side, side] to [H, W], one band of rows at a time."""
    maps = _upscaling(photo_size, client)
    read = logits[: maps.source_rows]
    widened = np.empty((maps.source_rows, maps.width), dtype=np.float32)
    for band in maps.columns:
        widened[:, band.rows] = read[:, band.source] @ band.weights.T
    for band in maps.rows:
        yield band.rows, band.weights @ widened[band.source]


@lru_cache(maxsize=8)
def _upscaling(photo_size: tuple[int, int], client: ClientContract) -> _Upscaling:
    vertical, horizontal = _composed(photo_size, client)
    rows, columns = bands_of(vertical), bands_of(horizontal)
    return _Upscaling(
        rows=rows,
        columns=columns,
        source_rows=max(band.source.stop for band in rows),
        width=photo_size[1],
        means=all(float(band.weights.min()) >= 0 for band in (*rows, *columns)),
    )


def _composed(photo_size: tuple[int, int], client: ClientContract) -> tuple[Matrix, Matrix]:
    """The family's rule `masks.upscale` as two matrices, [H, side] and [W, side]."""
    vertical, horizontal = _ROUTES[client.masks.upscale](photo_size, client)
    return vertical, horizontal


def _frame_then_photo(photo_size: tuple[int, int], client: ClientContract) -> list[Matrix]:
    """Enlarge to the prompts' frame, crop to the resized photo, resize to the photo."""
    interpolation = _INTERPOLATIONS[client.masks.resample]
    frame = client.prompt_frame
    to_frame = interpolation(client.masks.side, frame)
    resized = resized_size(*photo_size, client.preprocessing, frame=frame)
    return [
        interpolation(crop, side) @ to_frame[:crop]
        for crop, side in zip(resized, photo_size, strict=True)
    ]


def _straight(photo_size: tuple[int, int], client: ClientContract) -> list[Matrix]:
    """Crop the padding (size truncated), resize to the photo.

    Source: nanosam/utils/predictor.py, `upscale_mask`.
    """
    low, longest = client.masks.side, max(photo_size)
    interpolation = _INTERPOLATIONS[client.masks.resample]
    crops = [int(low * side / longest) for side in photo_size]
    return [
        np.pad(interpolation(crop, side), ((0, 0), (0, low - crop)))
        for crop, side in zip(crops, photo_size, strict=True)
    ]


def _squashed(photo_size: tuple[int, int], client: ClientContract) -> list[Matrix]:
    """Resize the whole map to the photo, which was squashed into a square for the encoder."""
    interpolation = _INTERPOLATIONS[client.masks.resample]
    return [interpolation(client.masks.side, side) for side in photo_size]


_ROUTES: dict[str, Callable[[tuple[int, int], ClientContract], list[Matrix]]] = {
    "frame_then_photo": _frame_then_photo,
    "straight": _straight,
    "squashed": _squashed,
}
