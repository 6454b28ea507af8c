"""A picture of the worst prompts, to see why a gate failed.

One row per prompt: the photo with the prompt and the reference's mask, the same with the
candidate's mask, and a heat map of the difference of their logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import BadInput
from edgekit.records import BoolArray, ClientContract, FloatArray, Rgb
from edgekit.runtime.photo import load_photo
from edgekit.runtime.postprocess import upscale_logits
from edgekit.verification.prompts import Point, Trial
from edgekit.verification.verdict import PromptMasks, Verdict

if TYPE_CHECKING:
    from PIL import Image

PANEL = 480
"""Width of one panel in pixels."""
CAPTION = 24
REFERENCE_COLOUR = (0, 114, 178)
CANDIDATE_COLOUR = (213, 94, 0)
"""Okabe and Ito's blue and vermilion, distinct to colour-blind readers too."""


def comparison_picture(verdict: Verdict) -> Image.Image:
    """The worst prompts of `verdict`, worst first, as one RGB picture.

    Raises:
        BadInput: no prompt was run.
    """
    if not verdict.worst_masks:
        raise BadInput("There is no picture to draw: no prompt was run.")
    return _stack([_row(pair) for pair in verdict.worst_masks])


def panels(pair: PromptMasks) -> tuple[Rgb, Rgb, Rgb]:
    """The photo with the reference's mask, with the candidate's, and with their difference."""
    pixels = load_photo(pair.photo)
    return (
        _tint(pixels, pair.reference, REFERENCE_COLOUR),
        _tint(pixels, pair.candidate, CANDIDATE_COLOUR),
        _overlay_heat(pixels, _heat(pair), pair.reference != pair.candidate),
    )


def panel(pixels: Rgb, trial: Trial, *, width: int = PANEL) -> Image.Image:
    """Pixels scaled to a width, with the trial's points and box, whose unit is the pixel."""
    from PIL import Image, ImageDraw

    scale = width / pixels.shape[1]
    drawn = Image.fromarray(pixels).resize((width, max(1, round(pixels.shape[0] * scale))))
    pen = ImageDraw.Draw(drawn)
    if trial.box:
        pen.rectangle([side * scale for side in trial.box], outline="white", width=2)
    for (x, y), label in zip(trial.points, trial.labels, strict=True):
        pen.ellipse(_disc((x, y), scale=scale), fill="lime" if label else "red", outline="black")
    return drawn


def _row(pair: PromptMasks) -> Image.Image:
    result = pair.result
    captions = (
        f"reference: {result.trial.kind} on {result.photo}",
        f"candidate: IoU {result.iou:.4f}" + ("" if result.finite else ", NaN or infinite logits"),
        _difference_caption(pair.logit_difference) + "white: masks disagree",
    )
    return _side_by_side([panel(pixels, result.trial) for pixels in panels(pair)], captions)


def _heat(pair: PromptMasks) -> FloatArray:
    """The difference of the logits at the photo's size, [H, W]; zeros for a detector."""
    size = pair.reference.shape
    if not isinstance(pair.client, ClientContract):
        return np.zeros(size, dtype=np.float32)
    difference = np.nan_to_num(pair.logit_difference)
    return upscale_logits(difference, (size[0], size[1]), pair.client)


def _difference_caption(difference: FloatArray) -> str:
    known = np.nan_to_num(difference)
    return f"logit difference up to {known.max():.3g}; " if known.size else ""


def _tint(pixels: Rgb, mask: BoolArray, colour: tuple[int, int, int]) -> Rgb:
    tint = pixels * 0.45 + np.array(colour) * 0.55
    return np.where(mask[..., None], tint, pixels).astype(np.uint8)


def _overlay_heat(pixels: Rgb, heat: FloatArray, disagree: BoolArray) -> Rgb:
    """The photo in dim grey, red to yellow by difference, white where the masks disagree."""
    level = np.clip(heat / (heat.max() or 1.0), 0.0, 1.0)[..., None]
    grey = pixels.mean(axis=-1, keepdims=True) * 0.5
    flame = np.concatenate([np.full_like(level, 255.0), 220.0 * level, np.zeros_like(level)], -1)
    heated = grey + 0.8 * level * (flame - grey)
    return np.where(disagree[..., None], 255.0, heated).astype(np.uint8)


def _disc(point: Point, *, scale: float) -> tuple[float, float, float, float]:
    x, y = (point[0] + 0.5) * scale, (point[1] + 0.5) * scale
    return (x - 5, y - 5, x + 5, y + 5)


def _side_by_side(shown: list[Image.Image], captions: tuple[str, ...]) -> Image.Image:
    from PIL import Image, ImageDraw

    row = Image.new("RGB", (PANEL * len(shown), shown[0].height + CAPTION), "black")
    pen = ImageDraw.Draw(row)
    for column, (each, caption) in enumerate(zip(shown, captions, strict=True)):
        row.paste(each, (column * PANEL, CAPTION))
        pen.text((column * PANEL + 6, 6), caption, fill="white")
    return row


def _stack(rows: list[Image.Image]) -> Image.Image:
    from PIL import Image

    picture = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    return picture
