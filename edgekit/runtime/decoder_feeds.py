"""Prompts as the decoder's input tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.errors import BadInput
from edgekit.records import ClientContract, FloatArray, Label
from edgekit.runtime.coordinates import Coordinates, box_of_point, coordinate_scale
from edgekit.runtime.prompts import Prompt


def decoder_feeds(
    prompts: Sequence[Prompt],
    photo_size: tuple[int, int],
    client: ClientContract,
    *,
    slots: Sequence[int] = (),
) -> dict[str, FloatArray]:
    """The decoder's inputs for B prompts on one photo, except the encoder's outputs.

    Shorter prompts are padded with empty slots (`Label.EMPTY`), which have no influence.

    Args:
        prompts: at least one, inside the photo; all with the same mask, or none.
        photo_size: (height, width) in pixels.
        client: the family's rules for coordinates, padding points and masks.
        slots: slot counts of decoders with fixed slots, ascending; the smallest that fits is used.
            Empty for a dynamic decoder.

    Returns:
        point_coords [B, N, 2] in the prompts' frame and point_labels [B, N]; if the family takes
        masks, also mask_input [1, 1, side, side] and has_mask_input [1]. All float32.

    Raises:
        BadInput: a prompt needs more slots than the largest decoder has.
    """
    scale = coordinate_scale(photo_size, client)
    boxed = [_boxed(prompt, photo_size, client) for prompt in prompts]
    tokens = [_tokens(prompt, client, scale) for prompt in boxed]
    length = _length(max(len(labels) for _, labels in tokens), slots)
    coords = np.zeros((len(prompts), length, 2), dtype=np.float32)
    codes = np.full((len(prompts), length), Label.EMPTY, dtype=np.float32)
    for row, (places, labels) in enumerate(tokens):
        coords[row, : len(labels)] = places
        codes[row, : len(labels)] = labels
    feeds: dict[str, FloatArray] = {"point_coords": coords, "point_labels": codes}
    if "mask" in client.prompts.refuses:
        return feeds
    return feeds | _mask_of(prompts, side=client.masks.side)


def slots_of(prompt: Prompt, client: ClientContract) -> int:
    """The slots that a prompt needs: one per point, two for a box, and its padding points."""
    if client.prompts.point_margin is not None:
        return 2
    given = len(prompt.labels) + 2 * (prompt.box is not None)
    return given + len(_padding(prompt, client))


def _boxed(prompt: Prompt, photo_size: tuple[int, int], client: ClientContract) -> Prompt:
    """The prompt with a box in place of its point, in families whose prompts are all boxes."""
    if client.prompts.point_margin is None or not len(prompt.points):
        return prompt
    box = box_of_point(prompt.points[0], photo_size, client)
    return replace(prompt, points=prompt.points[:0], labels=prompt.labels[:0], box=box)


def _length(needed: int, slots: Sequence[int]) -> int:
    """The number of slots to fill: the smallest that fits, or exactly those needed."""
    if not slots:
        return max(1, needed)
    fitting = [count for count in slots if count >= needed]
    if not fitting:
        raise _too_long(needed=needed, slots=slots[-1])
    return fitting[0]


def _tokens(
    prompt: Prompt, client: ClientContract, scale: Coordinates
) -> tuple[Coordinates, list[int]]:
    """Coordinates [N, 2] in the prompts' frame and labels: points, box corners, padding points."""
    places, labels = [prompt.points], prompt.labels.tolist()
    if prompt.box is not None:
        places.append(prompt.box.reshape(2, 2))
        labels += [Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]
    padding = _padding(prompt, client)
    placed = np.concatenate([*(place * scale for place in places), padding])
    return placed, labels + [int(Label.PADDING)] * len(padding)


def _padding(prompt: Prompt, client: ClientContract) -> Coordinates:
    """Coordinates [K, 2] of the padding points.

    Only prompts with points or a box are padded: SAM pads where it embeds points, so a mask alone
    has no token at all (segment_anything/modeling/prompt_encoder.py).
    """
    rule = client.prompts
    given = len(prompt.labels) + 2 * (prompt.box is not None)
    if rule.padding_point == "fill" and rule.max_points is not None:
        return np.full((max(rule.max_points - given, 0), 2), -1.0)
    wanted = {
        "never": False,
        "without_box": prompt.box is None,
        "always": True,
        "fill": False,
    }[rule.padding_point]
    return np.zeros((1 if given and wanted else 0, 2))


def _mask_of(prompts: Sequence[Prompt], *, side: int) -> dict[str, FloatArray]:
    mask = prompts[0].mask
    shared = np.zeros((1, 1, side, side), dtype=np.float32)
    if mask is not None:
        shared[0, 0] = mask
    return {"mask_input": shared, "has_mask_input": np.array([mask is not None], np.float32)}


def _too_long(*, needed: int, slots: int) -> BadInput:
    return BadInput(
        f"The prompt needs {needed} slots (one per point, two for a box, one for padding).",
        expected=f"at most {slots}, the most prompt slots that this bundle was exported with",
        next_step="give fewer points, or export for a target with more `prompt_slots`",
    )
