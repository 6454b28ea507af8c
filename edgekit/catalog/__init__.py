"""edgekit's data: device profiles, image sets and runtimes. Needs no PyTorch.

`targets/*.toml` and `calibration/*.toml` are read into records.
"""

from edgekit.catalog.annotations import photos_from_coco
from edgekit.catalog.box_files import Detection, read_detections
from edgekit.catalog.image_sets import (
    calibration_set,
    held_out_set,
    image_set,
    image_sets,
    photos_from,
)
from edgekit.catalog.masks import instance_mask
from edgekit.catalog.photos import Instance, Photo, PhotoSet
from edgekit.catalog.targets import target, target_or_file, targets
from edgekit.records import RunLengths, runs_from_mask

__all__ = [
    "Detection",
    "Instance",
    "Photo",
    "PhotoSet",
    "RunLengths",
    "calibration_set",
    "held_out_set",
    "image_set",
    "image_sets",
    "instance_mask",
    "photos_from",
    "photos_from_coco",
    "read_detections",
    "runs_from_mask",
    "target",
    "target_or_file",
    "targets",
]
