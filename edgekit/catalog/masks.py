"""Masks from annotations.

Run lengths are decoded in NumPy, so a device that verifies on the default set (run lengths only)
needs no extra package. Polygons are filled by pycocotools, whose rule defines COCO's masks. It
crashes the process on NaN and on very large coordinates, so those are refused first.
"""

from __future__ import annotations

import math
from itertools import chain

from edgekit.catalog.photos import Instance, Polygons
from edgekit.errors import RuntimeMissing
from edgekit.records import BoolArray, RunLengths
from edgekit.records.run_lengths import mask_from_runs, misfit


def instance_mask(instance: Instance, height: int, width: int) -> BoolArray:
    """The mask of an instance on a photo of this size, bool [height, width].

    Raises:
        BadInput: the annotation does not fit a photo of this size, is damaged, or is a box without
            a mask.
        RuntimeMissing: it has polygons and pycocotools is not installed.
    """
    if instance.segmentation is None:
        raise misfit("it is a box without a mask")
    if isinstance(instance.segmentation, RunLengths):
        return mask_from_runs(instance.segmentation, height, width)
    return _from_polygons(instance.segmentation, height, width)


def _from_polygons(polygons: Polygons, height: int, width: int) -> BoolArray:
    span = 2 * max(height, width)  # some of COCO's own polygons end a pixel outside the photo
    if not all(math.isfinite(x) and abs(x) <= span for x in chain.from_iterable(polygons)):
        raise misfit(f"a polygon ends far outside the photo ({width}x{height})")
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
