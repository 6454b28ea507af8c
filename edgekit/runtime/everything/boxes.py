"""One mask for each box of a detector or a file, without thresholds: MobileSAMv2's way.

Sources: Zhang et al., arXiv 2312.09579; ChaoningZhang/MobileSAM, MobileSAMv2/Inference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import Segment
from edgekit.runtime.everything.found import decoded_masks, segment_in
from edgekit.runtime.everything.measuring import measure
from edgekit.runtime.everything.scene import Scene
from edgekit.runtime.prediction import Size
from edgekit.runtime.prompts import Prompt


def box_prompts(boxes: npt.ArrayLike, photo_size: Size) -> list[Prompt]:
    """A prompt for each box, clipped to the photo.

    Raises:
        BadInput: a box is wrong or lies outside (see `Prompt.checked`); the message gives its
            index.
    """
    prompts: list[Prompt] = []
    for index, box in enumerate(np.atleast_1d(np.asarray(boxes, dtype=object))):
        try:
            prompts.append(Prompt.checked(box=box, photo_size=photo_size))
        except BadInput as error:
            raise BadInput(f"Box {index}: {error.what}", expected=error.expected) from error
    return prompts


def segments_by_boxes(scene: Scene, prompts: Sequence[Prompt]) -> list[Segment]:
    """The object of each box, in the order of the boxes; empty masks too.

    Args:
        scene: the photo.
        prompts: one box each, inside the photo.
    """
    view = scene.view()
    client = view.answers.client
    advance = scene.counting(len(prompts))
    segments: list[Segment] = []
    for prompt, low_res, score in decoded_masks(prompts, view, client.masks.single, advance):
        assert prompt.box is not None
        x0, y0, x1, y1 = prompt.box.tolist()
        measured = measure(low_res, scene.size, client, offset=scene.rule.stability_offset)
        segment = segment_in(view, measured, score)
        segments.append(replace(segment, prompt_box=(x0, y0, x1, y1)))
    return segments
