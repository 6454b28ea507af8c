"""From the decoder's low-res logits to masks at the photo's size.

Upstream's chain (bilinear to the frame, crop, bilinear to the photo) is linear and separable, so it
is composed once per photo size into one matrix per axis. The same matrices serve every prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgekit.records import BoolArray, ClientContract, FloatArray
from edgekit.runtime.preprocess import resized_size
from edgekit.runtime.resampling import Band, Matrix, banded, bilinear

LOW_RES = 256
"""Side of the decoder's masks, in pixels."""


def upscale_logits(
    low_res: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> FloatArray:
    """Logits [..., 256, 256] at the photo's size: float32 [..., H, W].

    Equal to upstream's chain of `torch.nn.functional.interpolate` to 1e-5 of the logit range.

    Args:
        low_res: the decoder's `low_res_masks`, float32, any leading dimensions.
        photo_size: (height, width) in pixels.
        client: the family's rules (`masks.upscale`, `preprocessing`).
    """
    flat = low_res.reshape(-1, LOW_RES, LOW_RES)
    out = np.empty((len(flat), *photo_size), dtype=np.float32)
    for logits, target in zip(flat, out, strict=True):
        for rows, values in _row_bands(logits, photo_size, client):
            target[rows] = values
    return out.reshape(*low_res.shape[:-2], *photo_size)


def masks_from_logits(
    low_res: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> BoolArray:
    """Masks at the photo's size: bool [..., H, W] for low-res logits [..., 256, 256].

    The same as `upscale_logits(...) > threshold`, without ever holding the enlarged logits.
    """
    flat = low_res.reshape(-1, LOW_RES, LOW_RES)
    out = np.empty((len(flat), *photo_size), dtype=np.bool_)
    for logits, target in zip(flat, out, strict=True):
        for rows, values in _row_bands(logits, photo_size, client):
            np.greater(values, client.masks.threshold, out=target[rows])
    return out.reshape(*low_res.shape[:-2], *photo_size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Upscaling:
    """The composed linear maps of both axes; `source_rows` low-res rows are all that is read."""

    rows: tuple[Band, ...]
    columns: tuple[Band, ...]
    source_rows: int
    width: int


def _row_bands(
    logits: FloatArray, photo_size: tuple[int, int], client: ClientContract
) -> Iterator[tuple[slice, FloatArray]]:
    """The enlarged map [H, W] of one low-res map [256, 256], a band of rows at a time."""
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
    rows, columns = banded(vertical), banded(horizontal)
    return _Upscaling(
        rows=rows,
        columns=columns,
        source_rows=max(band.source.stop for band in rows),
        width=photo_size[1],
    )


def _composed(photo_size: tuple[int, int], client: ClientContract) -> tuple[Matrix, Matrix]:
    """Matrices [H, 256] and [W, 256] that the family's rule `masks.upscale` amounts to."""
    if client.masks.upscale == "straight":
        vertical, horizontal = (
            _straight(low, side)
            for low, side in zip(_cropped_low_res(*photo_size), photo_size, strict=True)
        )
        return vertical, horizontal
    frame = client.preprocessing.frame
    resized = resized_size(*photo_size, client.preprocessing)
    to_frame = bilinear(LOW_RES, frame)
    vertical, horizontal = (
        bilinear(crop, side) @ to_frame[:crop]
        for crop, side in zip(resized, photo_size, strict=True)
    )
    return vertical, horizontal


def _cropped_low_res(height: int, width: int) -> tuple[int, int]:
    """The low-res map without its padding, truncated (nanosam/utils/predictor.py, upscale_mask)."""
    if width > height:
        return int(LOW_RES * height / width), LOW_RES
    return LOW_RES, int(LOW_RES * width / height)


def _straight(crop: int, side: int) -> Matrix:
    return np.pad(bilinear(crop, side), ((0, 0), (0, LOW_RES - crop)))
