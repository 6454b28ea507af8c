"""From the photo's pixels to the frame that prompts refer to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.records import ClientContract
from edgekit.runtime.preprocess import resized_size

Coordinates = npt.NDArray[np.float64]


def coordinate_scale(photo_size: tuple[int, int], client: ClientContract) -> Coordinates:
    """Factors [2] for x and y, from the pixels of a photo (height, width) to the prompts' frame."""
    height, width = photo_size
    frame = client.prompt_frame
    if client.prompts.coordinate_scale == "longest_side":
        return np.array([frame / max(photo_size)] * 2)
    if client.prompts.coordinate_scale == "photo_sides":
        return np.array([frame / width, frame / height])
    return _resized_scale(photo_size, client)


def box_of_point(
    point: Coordinates, photo_size: tuple[int, int], client: ClientContract
) -> Coordinates:
    """The box [4] that stands for a point [2], both in the photo's pixels (`point_margin`).

    It may reach out of the photo.
    """
    margin, scale = client.prompts.point_margin, _resized_scale(photo_size, client)
    assert margin is not None
    pixel = np.floor(point * scale)
    return np.concatenate([(pixel - margin) / scale, (pixel + margin) / scale])


def _resized_scale(photo_size: tuple[int, int], client: ClientContract) -> Coordinates:
    """Factors [2] for x and y, from the photo to the photo as it is resized into the frame."""
    height, width = photo_size
    rule, frame = client.preprocessing, client.prompt_frame
    new_height, new_width = resized_size(height, width, rule, frame=frame)
    return np.array([new_width / width, new_height / height])
