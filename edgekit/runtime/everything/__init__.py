"""Segment everything in a photo: many prompts, and rules for which of their masks to keep.

`grid`, `hierarchical`, `boxes` and `proposed` are the strategies; the other modules are the steps
that they share. A mask becomes run lengths at the moment it passes the thresholds, so memory grows
with the outlines and not with masks times pixels. Needs NumPy alone.
"""

from edgekit.runtime.everything.crops import CropBox
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.everything.strategies import check_request, find_segments

__all__ = ["CropBox", "Scene", "check_request", "find_segments"]
