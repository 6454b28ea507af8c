"""The commands over a real exported bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit import catalog
from edgekit.runtime import Predictor, Prompt, draw, load_photo

pytestmark = pytest.mark.slow


@pytest.fixture
def street():
    """A photo of the default set."""
    return catalog.image_set().photos[0].path


def test_inspect_shows_the_real_tensors(run, nanosam_bundle):
    shown = run("inspect", nanosam_bundle).stdout
    for word in ("photo_first_keys", "1 x 128 x 64 x 64", "low_res_masks", "seed 0", "torch 2."):
        assert word in shown


def test_predict_draws_what_the_predictor_finds(run, nanosam_bundle, street, tmp_path):
    out = tmp_path / "mask.png"
    arguments = ("--point", "200,200", "--out", out, "--json")
    (told,) = json.loads(run("predict", nanosam_bundle, street, *arguments).stdout)["masks"]
    predictor = Predictor(nanosam_bundle)
    predictor.set_image(street)
    prompt = Prompt.checked(points=[(200, 200)], labels=[1])
    (prediction,) = predictor.predict_many([prompt])
    assert told["score"] == pytest.approx(float(prediction.scores[0]), rel=1e-4)
    assert told["area_px"] == pytest.approx(prediction.masks.sum(), abs=20)
    expected = np.asarray(draw(load_photo(street), [prediction], [prompt]))
    assert (load_photo(out) == expected).mean() > 0.999


def test_verify_passes_on_one_photo(run, nanosam_bundle, street, tmp_path):
    figures, picture = tmp_path / "verdict.json", tmp_path / "worst.png"
    options = ("--photos", street, "--json", figures, "--picture", picture)
    result = run("verify", nanosam_bundle, *options)
    assert result.exit_code == 0, result.output
    verdict = json.loads(figures.read_text())
    assert verdict["how"] == "native"
    assert verdict["overall"]["prompts"] == 10
    assert verdict["overall"]["min_iou"] >= 0.99
    assert load_photo(picture).shape[1] == 1440


def test_verify_fails_against_other_weights(run, nanosam_bundle, street):
    result = run("verify", nanosam_bundle, "--photos", street, "--weights", "seeded:1")
    assert result.exit_code == 2
    assert "made from other weights" in result.stderr
