"""A picture of the worst prompts, so that a failed gate can be seen and not only read.

One row per prompt: the photo with the prompt and the reference's mask, the same with the
candidate's mask, and where their logits differ. Rows are rendered by running the prompts again:
holding masks for every prompt in case they turn out worst would cost more than six encodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.catalog import Photo, PhotoSet
from edgekit.records import BoolArray, FloatArray, Rgb
from edgekit.runtime import Prediction, Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.postprocess import upscale_logits
from edgekit.verify.compare import decode, photo_trials
from edgekit.verify.prompts import Point, Trial
from edgekit.verify.verdict import PromptResult, Verdict

if TYPE_CHECKING:
    from PIL import Image

ROWS = 4
PANEL = 480
"""Width of one panel in pixels."""
CAPTION = 24
REFERENCE_COLOUR = (0, 114, 178)
CANDIDATE_COLOUR = (213, 94, 0)
"""Okabe and Ito's blue and vermilion: told apart by colour-blind readers too."""


def comparison_picture(
    verdict: Verdict, photos: PhotoSet, *, candidate: Predictor, reference: Predictor
) -> Image.Image:
    """The worst prompts of `verdict`, worst first, as one RGB picture.

    The predictors and photos are those that `verify` was given.
    """
    by_id = {str(photo.id): photo for photo in photos.photos}
    rows = [
        _row(result, by_id[result.photo], candidate=candidate, reference=reference)
        for result in verdict.worst(ROWS)
    ]
    return _stacked(rows)


def _row(
    result: PromptResult, photo: Photo, *, candidate: Predictor, reference: Predictor
) -> Image.Image:
    pixels = load_photo(photo.path)
    found, expected = _rerun(result, photo, pixels, candidate=candidate, reference=reference)
    heat = _logit_difference(found, expected, result.chosen, predictor=reference)
    masks = [prediction.masks[result.chosen] for prediction in (expected, found)]
    panels = [
        _panel(_tinted(pixels, masks[0], REFERENCE_COLOUR), result.trial),
        _panel(_tinted(pixels, masks[1], CANDIDATE_COLOUR), result.trial),
        _panel(_heated(pixels, heat, masks[0] != masks[1]), result.trial),
    ]
    captions = (
        f"reference: {result.trial.kind} on {result.photo}",
        f"candidate: IoU {result.iou:.4f}" + ("" if result.finite else ", NaN or infinite logits"),
        f"logit difference up to {heat.max():.3g}; white: masks disagree",
    )
    return _side_by_side(panels, captions)


def _rerun(
    result: PromptResult, photo: Photo, pixels: Rgb, *, candidate: Predictor, reference: Predictor
) -> tuple[Prediction, Prediction]:
    _, trials = photo_trials(photo, pixels)
    reference.set_image(pixels)
    expected: list[Prediction] = []
    for trial in trials[: result.index + 1]:
        expected.append(decode(reference, trial, reference_so_far=expected))
    candidate.set_image(pixels)
    return decode(candidate, result.trial, reference_so_far=expected), expected[-1]


def _logit_difference(
    found: Prediction, expected: Prediction, chosen: int, *, predictor: Predictor
) -> FloatArray:
    difference = np.abs(found.low_res_logits[chosen] - expected.low_res_logits[chosen])
    size = found.masks.shape[-2:]
    return upscale_logits(np.nan_to_num(difference), (size[0], size[1]), predictor.client)


def _tinted(pixels: Rgb, mask: BoolArray, colour: tuple[int, int, int]) -> Rgb:
    tint = pixels * 0.45 + np.array(colour) * 0.55
    return np.where(mask[..., None], tint, pixels).astype(np.uint8)


def _heated(pixels: Rgb, heat: FloatArray, disagree: BoolArray) -> Rgb:
    """A dim grey photo, red to yellow with the difference, white where the masks disagree."""
    level = np.clip(heat / (heat.max() or 1.0), 0.0, 1.0)[..., None]
    grey = pixels.mean(axis=-1, keepdims=True) * 0.5
    flame = np.concatenate([np.full_like(level, 255.0), 220.0 * level, np.zeros_like(level)], -1)
    heated = grey * (1.0 - level) + flame * level
    return np.where(disagree[..., None], 255.0, heated).astype(np.uint8)


def _panel(pixels: Rgb, trial: Trial) -> Image.Image:
    from PIL import Image, ImageDraw

    height, width = pixels.shape[:2]
    scale = PANEL / width
    panel = Image.fromarray(pixels).resize((PANEL, max(1, round(height * scale))))
    pen = ImageDraw.Draw(panel)
    if trial.box:
        pen.rectangle([side * scale for side in trial.box], outline="white", width=2)
    for point, label in zip(trial.points, trial.labels, strict=True):
        pen.ellipse(_disc(point, scale=scale), fill="lime" if label else "red", outline="black")
    return panel


def _disc(point: Point, *, scale: float) -> tuple[float, float, float, float]:
    x, y = (point[0] + 0.5) * scale, (point[1] + 0.5) * scale
    return (x - 5, y - 5, x + 5, y + 5)


def _side_by_side(panels: list[Image.Image], captions: tuple[str, ...]) -> Image.Image:
    from PIL import Image, ImageDraw

    row = Image.new("RGB", (PANEL * len(panels), panels[0].height + CAPTION), "black")
    pen = ImageDraw.Draw(row)
    for column, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        row.paste(panel, (column * PANEL, CAPTION))
        pen.text((column * PANEL + 6, 6), caption, fill="white")
    return row


def _stacked(rows: list[Image.Image]) -> Image.Image:
    from PIL import Image

    picture = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    return picture
