"""The picture of the worst prompts."""

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import Gate
from edgekit.verification import comparison_picture, not_run, verify_predictors
from edgekit.verification.picture import PANEL

GATE = Gate(mean_iou=0.999, min_iou=0.99)


def shrunk(out):
    return {**out, "low_res_masks": out["low_res_masks"] - np.float32(5)}


def all_nan(out):
    return {**out, "low_res_masks": np.full_like(out["low_res_masks"], np.nan)}


@pytest.fixture
def draw(predictor, photos):
    def run(change=None):
        candidate, reference = predictor(change), predictor()
        verdict = verify_predictors(candidate, reference, photos, gate=GATE)
        return np.asarray(comparison_picture(verdict))

    return run


def test_each_row_shows_reference_candidate_and_difference(draw):
    pixels = draw(shrunk)
    assert pixels.shape[1:] == (3 * PANEL, 3)
    difference = pixels[:, 2 * PANEL :]
    assert (difference == 255).all(axis=-1).mean() > 0.01


def test_identical_masks_leave_no_white(draw):
    pixels = draw()
    panel = pixels[40:300, 2 * PANEL + 30 :]
    reference, candidate = pixels[40:300, :PANEL].astype(int), pixels[40:300, PANEL : 2 * PANEL]
    assert not (panel == 255).all(axis=-1).any()
    assert np.abs(reference - candidate).max() > 50  # the two sides' colours differ


def test_nan_logits_can_be_drawn(draw):
    assert draw(all_nan).any()


def test_rows_are_the_worst_prompts_and_no_more(predictor, photos):
    verdict = verify_predictors(predictor(shrunk), predictor(), photos, gate=GATE)
    assert [pair.result for pair in verdict.worst_masks] == list(verdict.worst(4))


def test_nothing_to_draw_if_nothing_was_run():
    with pytest.raises(BadInput, match="no prompt was run"):
        comparison_picture(not_run("no runtime", gate=GATE))
