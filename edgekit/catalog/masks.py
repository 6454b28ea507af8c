"""Masks from annotations.

Run lengths are decoded here, in NumPy: pycocotools 2.0.11 returns uninitialised memory if the runs
end early, and a device that verifies on the default set (run lengths only) needs no extra package.
Polygons are filled by pycocotools, whose rule defines COCO's masks. It crashes the process on NaN
and on very large coordinates, so those are refused first.
"""

from __future__ import annotations

import math
from itertools import chain

import numpy as np

from edgekit.catalog.photos import Instance, Polygons, RunLengths
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import BoolArray


def instance_mask(instance: Instance, height: int, width: int) -> BoolArray:
    """The mask of an instance on a photo of this size, bool [height, width].

    Raises:
        BadInput: the annotation does not fit a photo of this size, is damaged, or is a box without
            a mask.
        RuntimeMissing: it has polygons and pycocotools is not installed.
    """
    if instance.segmentation is None:
        raise _misfit("it is a box without a mask")
    if isinstance(instance.segmentation, RunLengths):
        return mask_from_runs(instance.segmentation, height, width)
    return _from_polygons(instance.segmentation, height, width)


def mask_from_runs(runs: RunLengths, height: int, width: int) -> BoolArray:
    """The mask of run lengths, bool [height, width].

    Raises:
        BadInput: the run lengths are of another size, or are damaged.
    """
    if runs.size != (height, width):
        mask_size, photo_size = f"{runs.size[1]}x{runs.size[0]}", f"{width}x{height}"
        raise _misfit(f"its mask is {mask_size} and the photo {photo_size}")
    counts = counts_of(runs)
    values = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, counts).reshape(width, height).T)


def counts_of(runs: RunLengths) -> list[int]:
    """The counts as numbers, which add up to the pixels of the mask.

    Raises:
        BadInput: they are damaged.
    """
    height, width = runs.size
    counts = unpack(runs.counts) if isinstance(runs.counts, str) else list(runs.counts)
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise _misfit(f"its runs do not add up to {width}x{height}")
    return counts


def runs_from_mask(mask: BoolArray) -> RunLengths:
    """A mask [H, W] as COCO's RLE, its counts packed as pycocotools packs them."""
    pixels = mask.T.ravel()
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff(edges, prepend=0, append=pixels.size).tolist()
    if pixels.size and pixels[0]:
        counts.insert(0, 0)  # the first run is of zeros
    return RunLengths(size=(mask.shape[0], mask.shape[1]), counts=pack(counts))


def pack(counts: list[int]) -> str:
    """Run lengths as a COCO string, the inverse of `unpack`."""
    text: list[str] = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(48 + bits + 32 * more))
    return "".join(text)


def unpack(text: str) -> list[int]:
    """Decode the run lengths in a COCO string.

    Each character holds six bits, counted from '0': five bits of a number, lowest first, and a flag
    that more follow. The highest bit of the last five is the sign. From the third run on, each
    number is the difference from the run two before. (cocodataset/cocoapi, common/maskApi.c,
    rleToString.)

    Raises:
        BadInput: the text is not such a string.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise _misfit("it is not a run-length string")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (bits & 16) << (shift - 4)  # a set sign bit subtracts 2**shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise _misfit("its run-length string ends early")
    return counts


def _from_polygons(polygons: Polygons, height: int, width: int) -> BoolArray:
    span = 2 * max(height, width)  # some of COCO's own polygons end a pixel outside the photo
    if not all(math.isfinite(x) and abs(x) <= span for x in chain.from_iterable(polygons)):
        raise _misfit(f"a polygon ends far outside the photo ({width}x{height})")
    try:
        from pycocotools import mask
    except ImportError as error:
        raise RuntimeMissing(
            "Annotations with polygons need pycocotools, which is not installed.",
            next_step="pip install 'edgekit[export]'",
        ) from error
    parts = mask.frPyObjects([list(polygon) for polygon in polygons], height, width)
    joined = RunLengths(size=(height, width), counts=mask.merge(parts)["counts"].decode())
    return mask_from_runs(joined, height, width)


def _misfit(reason: str) -> BadInput:
    return BadInput(
        f"An annotation cannot be used: {reason}.",
        expected="COCO polygons or run lengths of the photo's size",
        next_step="check that the annotations belong to these photos",
    )
