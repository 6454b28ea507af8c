"""Fill small holes of a mask and remove its small islands, on its run lengths.

A mask is cut into pieces, the runs of one column each. Pieces of neighbouring columns that touch,
also at a corner, belong to one region. No pixel is looked at, so a mask of 12 megapixels costs as
little as its outline is long.

Source of the rules: facebookresearch/segment-anything, utils/amg.py, `remove_small_regions`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgekit.records import BoolArray, RunLengths, Segment
from edgekit.records.run_lengths import counts_of, runs_from_edges
from edgekit.runtime.segments import rle_from

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """N vertical pieces of a mask, in column order: rows `top` to `bottom` - 1 of `column`."""

    column: Indices
    top: Indices
    bottom: Indices

    @property
    def length(self) -> Indices:
        """The number of pixels of each piece."""
        return self.bottom - self.top

    def __getitem__(self, chosen: BoolArray) -> Pieces:
        return Pieces(column=self.column[chosen], top=self.top[chosen], bottom=self.bottom[chosen])


def tidied(segment: Segment, least: int) -> Segment:
    """The segment without holes and islands of fewer than `least` pixels.

    Holes are filled first. If all islands are smaller, the largest stays. Where nothing changes,
    the same segment is returned. Score, stability and point always stay.
    """
    height, width = segment.rle["size"]
    runs = RunLengths(size=(height, width), counts=segment.rle["counts"])
    edges = np.cumsum([0, *counts_of(runs)])
    background = _pieces_of(edges[0:-1:2], edges[1::2], height)
    mask = _pieces_of(edges[1:-1:2], edges[2::2], height)
    holes = _in_small_region(background, least)
    if holes.any():
        mask = _joined(mask, background[holes])
    islands = _in_small_region(mask, least, but_largest=True)
    if not holes.any() and not islands.any():
        return segment
    return _redrawn(segment, mask[~islands])


def _pieces_of(starts: Indices, ends: Indices, height: int) -> Pieces:
    """Runs, from `starts` to `ends` - 1 in column order, cut at the ends of columns."""
    starts, ends = starts[starts < ends], ends[starts < ends]
    first, last = starts // height, (ends - 1) // height
    run = np.repeat(np.arange(len(starts)), last - first + 1)
    column = np.arange(len(run)) - np.repeat(np.cumsum(last - first + 1), last - first + 1)
    column += last[run] + 1
    return Pieces(
        column=column,
        top=np.where(column == first[run], starts[run] % height, 0),
        bottom=np.where(column == last[run], (ends[run] - 1) % height + 1, height),
    )


def _joined(pieces: Pieces, others: Pieces) -> Pieces:
    """Both masks' pieces in column order. Pieces of one column that meet are still two."""
    column, top, bottom = (
        np.concatenate(pair)
        for pair in zip(
            (pieces.column, pieces.top, pieces.bottom),
            (others.column, others.top, others.bottom),
            strict=True,
        )
    )
    order = np.lexsort((top, column))
    return Pieces(column=column[order], top=top[order], bottom=bottom[order])


def _in_small_region(pieces: Pieces, least: int, *, but_largest: bool = False) -> BoolArray:
    """Which pieces belong to a region of fewer than `least` pixels.

    With `but_largest`, the largest region is not small if all the others are; of equals, the one
    that begins first, row by row.
    """
    regions = _regions_of(pieces)
    sizes = np.bincount(regions, weights=pieces.length)[regions]
    small: BoolArray = sizes < least
    if but_largest and len(small) and small.all():
        largest_first = np.lexsort((pieces.column, pieces.top, -sizes))
        small = regions != regions[largest_first[0]]
    return small


def _regions_of(pieces: Pieces) -> Indices:
    """The region of each piece, as the index of one of its pieces.

    Every piece starts as its own region. Regions that touch take the lowest index among them, and
    then each piece takes the index of its index, until nothing changes.
    """
    one, other = _touching(pieces)
    region = np.arange(len(pieces.column))
    while (apart := region[one] != region[other]).any():
        pair = np.stack([region[one[apart]], region[other[apart]]])
        np.minimum.at(region, pair.max(axis=0), pair.min(axis=0))
        while (shortened := region[region] != region).any():
            region = np.where(shortened, region[region], region)
    return region


def _touching(pieces: Pieces) -> tuple[Indices, Indices]:
    """Pairs of pieces that touch: in neighbouring columns, or one below the other."""
    span = int(pieces.bottom.max(initial=0)) + 2
    tops, bottoms = pieces.column * span + pieces.top, pieces.column * span + pieces.bottom
    # The first piece of the next column that does not end above, and the first that starts below.
    first = np.searchsorted(bottoms, tops + span)
    past = np.searchsorted(tops, bottoms + span, side="right")
    touching = np.maximum(past - first, 0)
    one = np.repeat(np.arange(len(tops)), touching)
    other = np.arange(len(one)) - np.repeat(np.cumsum(touching) - touching, touching) + first[one]
    below = np.flatnonzero(tops[1:] == bottoms[:-1])
    return np.concatenate([one, below]), np.concatenate([other, below + 1])


def _redrawn(segment: Segment, pieces: Pieces) -> Segment:
    """The segment with another mask, which is not empty."""
    height, width = segment.rle["size"]
    starts = pieces.column * height + pieces.top
    edges = np.concatenate([starts, starts + pieces.length])
    left, top = int(pieces.column.min()), int(pieces.top.min())
    return replace(
        segment,
        rle=rle_from(runs_from_edges(edges, (height, width))),
        area=int(pieces.length.sum()),
        box=(left, top, int(pieces.column.max()) - left, int(pieces.bottom.max()) - 1 - top),
    )
