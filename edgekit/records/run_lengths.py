"""Masks as COCO's run lengths. All masks that edgekit reads or writes go through here.

Decoded in NumPy: pycocotools 2.0.11 returns uninitialised memory if the runs end early, and a
device needs no extra package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records.arrays import BoolArray

Positions = npt.NDArray[np.int64]

_MOST_DIGITS = 7
"""Five bits each: runs of up to 2^34 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """COCO's RLE: alternating runs of 0 and 1, column by column.

    `size` is [height, width]; `counts` are the run lengths, as numbers or packed in a string.
    """

    size: tuple[int, int]
    counts: tuple[int, ...] | str


def mask_from_runs(runs: RunLengths, height: int, width: int) -> BoolArray:
    """The mask of run lengths, bool [height, width].

    Raises:
        BadInput: the run lengths are of another size, or are damaged.
    """
    if runs.size != (height, width):
        mask_size, photo_size = f"{runs.size[1]}x{runs.size[0]}", f"{width}x{height}"
        raise misfit(f"its mask is {mask_size} and the photo {photo_size}")
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
        raise misfit(f"its runs do not add up to {width}x{height}")
    return counts


def runs_from_mask(
    mask: BoolArray, *, size: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)
) -> RunLengths:
    """A mask [h, w] as COCO's RLE, its counts packed as pycocotools packs them.

    Args:
        mask: the mask, or the part of it that is not empty.
        size: (height, width) of the whole mask; None if `mask` is the whole.
        corner: (top, left) of the part in the whole.
    """
    height, width = size or (mask.shape[0], mask.shape[1])
    changes = np.zeros((mask.shape[0] + 1, mask.shape[1]), dtype=np.bool_)
    changes[:-1] = mask
    changes[1:] ^= mask
    # Found row by row, as the pixels lie in memory; sorted by column afterwards.
    rows, columns = np.divmod(np.flatnonzero(changes), max(mask.shape[1], 1))
    return runs_from_edges((columns + corner[1]) * height + rows + corner[0], (height, width))


def runs_from_edges(edges: Positions, size: tuple[int, int]) -> RunLengths:
    """The run lengths of a mask of `size` (height, width) whose value changes at `edges`.

    Args:
        edges: positions in column order, x * height + y, in any order. Two at one position cancel:
            one piece of the mask ends there, and the next begins.
        size: of the mask.
    """
    ordered = np.sort(edges)
    repeated = ordered[1:] == ordered[:-1]
    once = np.ones(len(ordered), dtype=np.bool_)
    once[1:] &= ~repeated
    once[:-1] &= ~repeated
    counts = np.diff(ordered[once], prepend=0, append=size[0] * size[1])
    if len(counts) > 1 and not counts[-1]:
        counts = counts[:-1]  # the last run reaches the last pixel
    return RunLengths(size=size, counts=pack(counts))


def pack(counts: npt.ArrayLike) -> str:
    """Run lengths as a COCO string, the inverse of `unpack`."""
    numbers = np.asarray(counts, dtype=np.int64)
    values = numbers.copy()
    values[3:] -= numbers[1:-2]
    text = np.zeros((len(values), _MOST_DIGITS), dtype=np.uint8)
    open_ = np.ones(len(values), dtype=np.bool_)
    for place in range(_MOST_DIGITS):
        bits = values & 31
        values >>= 5
        more = values != -(bits >> 4)
        text[open_, place] = (48 + bits + 32 * more)[open_]
        open_ &= more
        if not open_.any():
            break
    return text[text > 0].tobytes().decode("ascii")


def unpack(text: str) -> list[int]:
    """Decode the run lengths in a COCO string.

    Each character holds six bits, counted from '0': five bits of a number, lowest first, and a flag
    that more follow. The highest bit of the last five is the sign. From the third run on, each
    number is the difference from the run two before. (cocodataset/cocoapi, common/maskApi.c,
    rleToString.)

    Raises:
        BadInput: the text is not such a string.
    """
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    bits = characters.astype(np.int64) - 48
    if ((bits < 0) | (bits >= 64)).any():
        raise misfit("it is not a run-length string")
    last = bits & 32 == 0
    if len(bits) and not last[-1]:
        raise misfit("its run-length string ends early")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    digits = ends - starts
    if (digits >= _MOST_DIGITS).any():
        raise misfit("it is not a run-length string")
    places = np.arange(len(bits)) - np.repeat(starts, digits + 1)
    numbers = np.zeros(len(ends), dtype=np.int64)
    np.add.at(numbers, np.repeat(np.arange(len(ends)), digits + 1), (bits & 31) << (5 * places))
    # A set sign bit stands for -2^n of the n-th bit.
    numbers -= (bits[ends] & 16) << (5 * digits + 1)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    counts: list[int] = numbers.tolist()
    return counts


def misfit(reason: str) -> BadInput:
    """The error for an annotation that cannot be used, for this reason."""
    return BadInput(
        f"An annotation cannot be used: {reason}.",
        expected="COCO polygons or run lengths of the photo's size",
        next_step="check that the annotations belong to these photos",
    )
