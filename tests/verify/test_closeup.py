"""The close-up of the worst prompt: three panels around its masks, and few bytes."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import BadInput
from edgekit.records import Gate
from edgekit.verification import Trial, not_run, verify_predictors, worst_closeup
from edgekit.verification.closeup import HEIGHT, MOST_BYTES, WIDTH

GATE = Gate(mean_iou=0.999, min_iou=0.99)


@pytest.fixture
def verdict(predictor, photos):
    """The verdict on a candidate whose masks are smaller."""

    def shrunk(out):
        return {**out, "low_res_masks": out["low_res_masks"] - np.float32(5)}

    return verify_predictors(predictor(shrunk), predictor(), photos, gate=GATE)


@pytest.fixture
def drawn(verdict, tmp_path):
    """`drawn(pixels, reference, candidate, ...)`: the close-up of one prompt on a photo."""

    def draw(pixels, reference, candidate, **trial):
        photo = tmp_path / "photo.png"
        Image.fromarray(pixels).save(photo)
        pair = verdict.worst_masks[0]
        result = replace(pair.result, trial=Trial(kind=pair.result.trial.kind, **trial))
        pair = replace(pair, result=result, photo=photo, reference=reference, candidate=candidate)
        content = worst_closeup(replace(verdict, worst_masks=(pair,)))
        assert len(content) <= MOST_BYTES
        return np.asarray(Image.open(io.BytesIO(content), formats=("JPEG",))).astype(int)

    return draw


def masks(height, width, rows, columns):
    """A mask that fills a rectangle, and one that fills its upper half."""
    whole = np.zeros((height, width), np.bool_)
    whole[rows, columns] = True
    upper = whole.copy()
    upper[(rows.start + rows.stop) // 2 :] = False
    return whole, upper


def test_a_small_mask_fills_half_of_a_panel(drawn):
    grey = np.full((1200, 1600, 3), 128, np.uint8)
    pixels = drawn(grey, *masks(1200, 1600, slice(500, 560), slice(1000, 1080)))
    assert pixels.shape == (HEIGHT, 3 * WIDTH + 8, 3)
    reference, candidate = pixels[:, :WIDTH], pixels[:, WIDTH + 4 : 2 * WIDTH + 4]
    blue = reference[..., 2] - reference[..., 0] > 40
    orange = candidate[..., 0] - candidate[..., 2] > 40
    assert blue.mean() == pytest.approx(0.25, abs=0.02)
    assert orange.mean() == pytest.approx(0.125, abs=0.02)
    columns = np.flatnonzero(blue.any(axis=0))
    assert (columns[0], columns[-1]) == pytest.approx((WIDTH / 4, WIDTH * 3 / 4), abs=4)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((240, 320), (240, 3 * 320 + 8)),
        ((1000, 10), (200, 3 * 2 + 8)),
        ((10, 1000), (3, 3 * 320 + 8)),
    ],
)
def test_masks_that_are_empty_show_the_whole_photo(drawn, shape, shown):
    empty = np.zeros(shape, np.bool_)
    assert drawn(np.full((*shape, 3), 90, np.uint8), empty, empty).shape[:2] == shown


def test_the_prompt_is_inside(drawn):
    mask, upper = masks(600, 800, slice(10, 30), slice(10, 30))
    pixels = drawn(
        np.full((600, 800, 3), 128, np.uint8),
        mask,
        upper,
        points=((20.0, 20.0), (700.0, 500.0)),
        labels=(1, 0),
        box=(5.0, 5.0, 40.0, 40.0),
    )
    red = (pixels[..., 0] > 180) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)
    green = (pixels[..., 1] > 180) & (pixels[..., 0] < 90)
    assert red[:, :WIDTH].any()
    assert green[:, :WIDTH].any()


def test_noise_is_as_small(drawn):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    whole = np.ones((480, 640), np.bool_)
    drawn(noise, whole, ~whole)


def test_the_worst_prompt_is_drawn(verdict):
    assert Image.open(io.BytesIO(worst_closeup(verdict))).format == "JPEG"


def test_nothing_to_draw_if_nothing_was_run():
    with pytest.raises(BadInput, match="no prompt was run"):
        worst_closeup(not_run("no runtime", gate=GATE))
