"""Prompts that are drawn into the image of a model without a decoder.

Source of the rule: yformer/EfficientSAM@3477a43, `squeeze_sam/early_fusion.py`.
"""

from __future__ import annotations

import numpy as np

from edgekit.errors import BadInput
from edgekit.records import (
    DrawingRule,
    Feeds,
    FloatArray,
    Label,
    PhotoClient,
    Rgb,
    Session,
)
from edgekit.runtime.preprocess import encoder_input


def encoder_and_decoder(
    client: PhotoClient, encoder: Session, decoder: Session | None = None
) -> tuple[Session, Session | None]:
    """The graphs of a model; where prompts are drawn, two stand-ins that share the one graph."""
    if client.drawing is None:
        return encoder, decoder
    return PhotoChannels(), DrawnPrompts(encoder, client.drawing)


class PhotoChannels:
    """In the place of an encoder: the photo's channels are its only features."""

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """`image` [1, 3, frame, frame], as it is."""
        return {"image": feeds["image"]}


class DrawnPrompts:
    """In the place of a decoder: a graph that gets photo and prompt in one image, one at a time."""

    def __init__(self, graph: Session, rule: DrawingRule) -> None:
        self._graph = graph
        self._rule = rule

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the graph for each prompt of `point_coords` [B, N, 2] and `point_labels` [B, N].

        Returns:
            low_res_masks [B, M, side, side] and iou_predictions [B, M].

        Raises:
            BadInput: a box is too small to be drawn.
        """
        prompts = zip(feeds["point_coords"], feeds["point_labels"], strict=True)
        images = (drawn_image(feeds["image"], *prompt, rule=self._rule) for prompt in prompts)
        answers = [self._graph.run({"image": image}) for image in images]
        return {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}


def encoder_image(photo: Rgb, client: PhotoClient) -> FloatArray:
    """The encoder's `image` [1, C, frame, frame], float32, for a uint8 RGB photo [H, W, 3].

    Where prompts are drawn into it, it holds a box around the whole photo.
    """
    image = encoder_input(photo, client.preprocessing)
    if client.drawing is None:
        return image
    nothing = np.empty((0, 2), dtype=np.float32)
    return drawn_image(image, nothing, nothing[:, 0], rule=client.drawing)


def drawn_image(
    photo: FloatArray, coords: FloatArray, labels: FloatArray, *, rule: DrawingRule
) -> FloatArray:
    """The photo's channels with those of one prompt: [1, 5, frame, frame], float32.

    Args:
        photo: [1, 3, frame, frame].
        coords: [N, 2], x and y in the frame.
        labels: [N], codes of `Label`; only foreground points and box corners are drawn.
        rule: the family's.

    Raises:
        BadInput: the box is too small to be drawn.
    """
    frame = photo.shape[-1]
    box = coords[(labels == Label.BOX_TOP_LEFT) | (labels == Label.BOX_BOTTOM_RIGHT)]
    points = coords[labels == Label.FOREGROUND]
    image = np.empty((1, 5, frame, frame), dtype=np.float32)
    image[:, :3] = photo
    image[0, 3] = _inside_box(box, frame)
    image[0, 4] = _near_points(points, frame, radius=rule.radius)
    return image


def _inside_box(corners: FloatArray, frame: int) -> FloatArray:
    """1 inside the box [2, 2], 0 outside; all 1 without a box [0, 2]."""
    if not len(corners):
        return np.ones((frame, frame), dtype=np.float32)
    pixels = np.arange(frame, dtype=np.float32)
    (left, top), (right, bottom) = corners
    columns = (pixels >= left) & (pixels <= right)
    rows = (pixels >= top) & (pixels <= bottom)
    if not (columns.any() and rows.any()):
        raise BadInput(
            f"The box covers no pixel of the {frame} x {frame} image that the model sees.",
            expected=f"a box of at least 1/{frame} of the photo's width and height, or a point",
        )
    return np.outer(rows, columns).astype(np.float32)


def _near_points(points: FloatArray, frame: int, *, radius: float) -> FloatArray:
    """1 within `radius` of a point [N, 2], 0 elsewhere."""
    pixels = np.arange(frame, dtype=np.float32)
    drawn = np.zeros((frame, frame), dtype=np.float32)
    for x, y in points:
        near = (pixels - x) ** 2 + ((pixels - y) ** 2)[:, None] <= radius**2
        drawn[near] = 1
    return drawn
