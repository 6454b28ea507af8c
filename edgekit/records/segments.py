"""What "segment everything" finds in a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from edgekit.records.arrays import BoolArray
from edgekit.records.run_lengths import RunLengths, mask_from_runs

Strategy = Literal["grid", "hierarchical", "boxes", "proposed"]
"""Where the prompts come from.

"grid": points in rows and columns (SAM). "hierarchical": fewer points first, then more where no
mask is confident (TinySAM). "boxes": boxes of a detector or a file (MobileSAMv2). "proposed":
points of a proposal network (see `runtime.proposals`).
"""


class CocoRle(TypedDict):
    """COCO's compressed run lengths, which `pycocotools.mask.decode` takes as they are."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One object of a photo. All coordinates are photo pixels, x to the right and y down.

    `box` is x, y, width, height of the mask, where width and height are the distances between its
    first and last pixel, as SAM counts them: one less than the pixels. `area` is in pixels.
    `predicted_iou` is the model's own score. `stability` is None where it is not defined: for a
    detector, and for an empty mask. `point` (x, y) or `prompt_box` (x0, y0, x1, y1) found the
    object. `crop_box` (x, y, width, height) is the part of the photo in which it was found.
    """

    rle: CocoRle
    area: int
    box: tuple[float, float, float, float]
    predicted_iou: float
    stability: float | None = None
    point: tuple[float, float] | None = None
    prompt_box: tuple[float, float, float, float] | None = None
    crop_box: tuple[float, float, float, float] | None = None

    @property
    def mask(self) -> BoolArray:
        """The mask at the photo's size, bool [H, W]. Decoded each time."""
        height, width = self.rle["size"]
        runs = RunLengths(size=(height, width), counts=self.rle["counts"])
        return mask_from_runs(runs, height, width)
