"""What codes in attention do to the masks: plain, and with PTQ4SAM's two techniques.

    bench_attention.py MODEL [--weights W] [--calibrated 8] [--photos 8]

Nothing but attention's products is coded, in encoder and decoder, so that all of the error is
theirs. Each line is the model rounded in PyTorch: mean, 5th percentile and minimum of the mask IoU
with the float model, and how near the logits of one box per photo are (dB). BIG folds signs into
the decoder's weights before the ranges are measured; AGQ codes softmax outputs by logarithms, with
a search on the first calibration photo. The photos to measure on and those to compare on are from
the two halves of the default set.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgekit import catalog
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.reference import reference_sessions
from edgekit.precision.apply.coded_walk import coded_walk
from edgekit.precision.decide.int8 import plan_int8
from edgekit.precision.measure.ranges import measure
from edgekit.precision.techniques.bimodal import integrate_bimodal
from edgekit.precision.techniques.softmax_codes import SoftmaxSearch, softmax_coded_walk
from edgekit.program.programs import Programs
from edgekit.records import Execution, FloatArray, Int8Recipe, PartPlan, Role, Session
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.stages.judging import CachedSession
from edgekit.verification import verify_predictors
from edgekit.verification.prompts import subjects_of

RECIPE = Int8Recipe(
    activations="uint8", weighted=(), attention="coded", roles=(Role.ENCODER, Role.DECODER)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The photos of all lines, and the float model that they are compared with."""

    calibration: catalog.PhotoSet
    photos: catalog.PhotoSet
    reference: Predictor

    def judge(self, name: str, predictor: Predictor) -> None:
        """Print one line."""
        verdict = verify_predictors(
            predictor,
            self.reference,
            self.photos,
            gate=catalog.target("x86-int8").gate,
            execution=Execution(how="emulated", reason="an experiment"),
        )
        told = verdict.overall
        assert told is not None
        decibels = np.mean([self._decibels(predictor, photo) for photo in self.photos.photos])
        print(
            f"{name:20} mean {told.mean_iou:.4f}  p5 {told.p5_iou:.3f}  min {told.min_iou:.3f}"
            f"  {decibels:.1f} dB  ({told.prompts} prompts)",
            flush=True,
        )

    def _decibels(self, predictor: Predictor, photo: catalog.Photo) -> float:
        wanted, got = (logits_of_a_box(each, photo) for each in (self.reference, predictor))
        return float(10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum()))


def main() -> None:
    """Print a line for each way to code attention."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--weights", action="append", default=[])
    parser.add_argument("--calibrated", type=int, default=8)
    parser.add_argument("--photos", type=int, default=8)
    options = parser.parse_args()
    row = registry.model(options.model)
    plain, folded = (Programs(row, locate(row, tuple(options.weights)), ()) for _ in range(2))
    setting = Setting(
        calibration=_first(catalog.calibration_set(), options.calibrated),
        photos=_first(catalog.image_set(), options.photos, without=catalog.calibration_set()),
        reference=_predictor(plain, *reference_sessions(plain.split)),
    )
    for name, predictor in _predictors(plain, setting):
        setting.judge(name, predictor)
    bimodal = _fold(folded, setting.calibration.photos[0])
    print(f"bimodal keys: {', '.join(bimodal) or 'none, so BIG changes nothing'}", flush=True)
    if bimodal:
        for name, predictor in _predictors(folded, setting):
            setting.judge(f"BIG, {name}", predictor)


def _first(
    photos: catalog.PhotoSet, count: int, *, without: catalog.PhotoSet | None = None
) -> catalog.PhotoSet:
    seen = {photo.path for photo in without.photos} if without else set()
    fresh = [photo for photo in photos.photos if photo.path not in seen]
    return replace(photos, photos=tuple(fresh[:count]))


def _fold(model: Programs, photo: catalog.Photo) -> tuple[str, ...]:
    """Fold the signs of bimodal keys into a model that is not captured yet."""
    decoder = model.split.decoder
    assert decoder is not None, "a model with SAM's decoder"
    session = _predictor(model, *reference_sessions(model.split))
    return integrate_bimodal(decoder, lambda: logits_of_a_box(session, photo))


def _predictors(model: Programs, setting: Setting) -> Iterator[tuple[str, Predictor]]:
    """The model with plain codes, then with those of AGQ."""
    calibration = measure(*model.planned, photos=setting.calibration, client=model.row.client)
    parts = [plan_int8(p, calibration.ranges(p.role), RECIPE) for p in model.planned]
    yield "plain codes", _predictor(model, *map(coded_walk, model.planned, parts))
    yield "AGQ", _predictor(model, *_softmax_coded(model, parts, setting.calibration.photos[0]))


def _softmax_coded(
    model: Programs, parts: list[PartPlan], photo: catalog.Photo
) -> Iterator[Session]:
    searches = [SoftmaxSearch(program) for program in model.planned]
    logits_of_a_box(_predictor(model, *searches), photo)
    for program, part, search in zip(model.planned, parts, searches, strict=True):
        codes = search.codes()
        told = (f"{name}: tau {code.tau}, scale {code.scale:.2f}" for name, code in codes.items())
        print(f"  {program.role} {'; '.join(told) or 'without attention'}")
        yield softmax_coded_walk(program, part, codes)


def _predictor(model: Programs, *sessions: Session) -> Predictor:
    return Predictor.from_sessions(model.row.client, *map(CachedSession, sessions))


def logits_of_a_box(predictor: Predictor, photo: catalog.Photo) -> FloatArray:
    """The mask logits of a box around the photo's first subject."""
    pixels = load_photo(photo.path)
    predictor.set_image(pixels)
    subject, *_ = subjects_of(photo, height=pixels.shape[0], width=pixels.shape[1])
    return predictor.predict(box=subject.box).low_res_logits


if __name__ == "__main__":
    main()
