"""A recording answers as the reference did, and only what the reference was asked."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.models.families.fastsam import CLIENT as FASTSAM
from edgekit.records import Gate, MaskChoice, WeightsSource
from edgekit.runtime import Predictor
from edgekit.verification import verify_predictors
from edgekit.verification.recording import Recording, record
from tests.verify.conftest import CLIENT, DiscDecoder, FakeEncoder
from tests.verify.test_compare import LEFT, RIGHT, FakeDetector, shifted_logits

GATE = Gate(mean_iou=0.9, min_iou=0.8)
SEEDED = WeightsSource(kind="seeded", licence="none", seed=0)
BEST = replace(CLIENT, masks=replace(CLIENT.masks, single=MaskChoice(masks=(0, 1, 2), keep="best")))


@pytest.fixture
def recorded(tmp_path, photos):
    """`recorded(reference)`: the recording of its answers on `photos`."""

    def make(reference, client=CLIENT) -> Recording:
        path = tmp_path / "reference.zip"
        record(path, reference, photos, model="nanosam", weights=SEEDED)
        return Recording(path, lambda _: client)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("client", [CLIENT, BEST], ids=["first mask", "best mask"])
@pytest.mark.parametrize("change", [-1, -30])
def test_a_recording_gives_the_verdict_of_its_reference(recorded, photos, client, change):
    def side(change=None):
        return Predictor.from_sessions(client, FakeEncoder(), DiscDecoder(change))

    def other_best(out):
        scores = out["iou_predictions"][:, ::-1] + 1e-4
        return {**shifted_logits(change)(out), "iou_predictions": scores}

    candidate = side(other_best)
    direct = verify_predictors(candidate, side(), photos, gate=GATE)
    assert verify_predictors(candidate, recorded(side(), client), photos, gate=GATE) == direct
    assert direct.overall.mean_iou < 1


def test_a_recorded_detector(recorded, photos):
    reference = Predictor.from_sessions(FASTSAM, FakeDetector(LEFT, RIGHT))
    verdict = verify_predictors(reference, recorded(reference, FASTSAM), photos, gate=GATE)
    assert verdict == verify_predictors(reference, reference, photos, gate=GATE)
    assert verdict.passed


def test_the_index_names_model_and_weights(recorded, predictor):
    index = recorded(predictor()).index
    assert (index.model, index.weights) == ("nanosam", SEEDED)


def test_other_pixels_or_another_photo_have_no_answer(recorded, predictor, photos):
    recording = recorded(predictor())
    first = photos.photos[0]
    pixels = np.asarray(Image.open(first.path)).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(first.path)
    with pytest.raises(BadInput, match="has no answer for a photo or prompt"):
        verify_predictors(predictor(), recording, PhotoSet(name="one", photos=(first,)), gate=GATE)


def test_a_detector_without_recorded_objects_has_no_answer(recorded, predictor):
    with pytest.raises(BadInput, match="has no answer"):
        recorded(predictor()).everything()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        (b"", "not a zip file"),
        ({"other": b""}, "index.json"),
        ({"index.json": b"{}"}, "missing"),
        (
            {
                "index.json": b'{"model": "m", "weights": {"kind": "seeded", "licence": ""}, '
                b'"answers": {}, "objects": {}, "schema": 2}'
            },
            "its schema is 2",
        ),
    ],
)
def test_a_file_that_is_no_recording(tmp_path, content, problem):
    path = tmp_path / "reference.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    with pytest.raises(BadInput, match=problem):
        Recording(path, lambda _: CLIENT)


def test_a_damaged_array_is_told(recorded, predictor, photos, tmp_path):
    recorded(predictor())
    whole, damaged = tmp_path / "reference.zip", tmp_path / "damaged.zip"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"" if name == "0/logits" else old.read(name))
    with pytest.raises(BadInput, match="cannot be read"):
        verify_predictors(predictor(), Recording(damaged, lambda _: CLIENT), photos, gate=GATE)


def test_a_recording_that_cannot_be_written(tmp_path, predictor, photos):
    with pytest.raises(BadInput, match="cannot be written"):
        record(tmp_path / "none" / "f", predictor(), photos, model="nanosam", weights=SEEDED)
