"""All masks of two predictors compared, judged, and scored against annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit import catalog
from edgekit.catalog import Photo, PhotoSet, photos_from
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import (
    NATIVE,
    BoolArray,
    EvaluateEverythingRequest,
    EverythingRule,
    Execution,
    Segment,
    VerifyEverythingRequest,
    WeightsSource,
)
from edgekit.report import SILENT, Report
from edgekit.runtime import Predictor
from edgekit.runtime.proposals import ProposalNetwork
from edgekit.runtime.proposals.network import SHAPES
from edgekit.runtime.segments import segment_from
from edgekit.stages import everything as stage
from edgekit.stages.reference import reference_predictor
from edgekit.verification.everything import (
    Everything,
    EverythingVerdict,
    compare_everything,
    judge_everything,
    to_json,
)
from edgekit.verification.matching import Matching
from tests.coco_shapes import SIZE, bar_mask, disc_mask


class Finder:
    """A predictor that finds the same masks in every photo."""

    execution = NATIVE
    client = registry.model("nanosam").client

    def __init__(self, *masks: BoolArray) -> None:
        self.masks = masks
        self.photos: list[tuple[int, ...]] = []
        self.asked: list[tuple[object, ...]] = []

    def set_image(self, pixels: np.ndarray) -> None:
        self.photos.append(pixels.shape)

    def check_proposals(self, proposals: object) -> None:
        self.checked = proposals

    def everything(
        self,
        strategy: str | None = None,
        *,
        grid: int | None = None,
        boxes: object = None,
        proposals: object = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Sequence[Segment]:
        self.asked.append((strategy, grid, boxes if proposals is None else proposals))
        if on_progress:
            on_progress(3, 4)
            on_progress(4, 4)
        return [segment_from(mask, 0.9) for mask in self.masks]


@pytest.fixture
def photos(coco: Path) -> PhotoSet:
    """Four photos with a disc and a bar."""
    return photos_from(coco)


# --- against the reference ------------------------------------------------------------------------


def test_both_sides_segment_every_photo(photos: PhotoSet) -> None:
    candidate, reference = Finder(bar_mask()), Finder(disc_mask(), bar_mask())
    steps: list[tuple[int, int]] = []
    matchings = compare_everything(
        candidate,
        reference,
        photos,
        everything=Everything(strategy="grid", grid=8),
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert [matching.photo for matching in matchings] == [photo.id for photo in photos.photos]
    assert {(m.reference, m.candidate, m.ious) for m in matchings} == {(2, 1, (1.0,))}
    assert candidate.photos == reference.photos == [(*SIZE, 3)] * 4
    ends = [750, 1000, 1750, 2000, 2750, 3000, 3750, 4000]
    assert steps == [(done, 8000) for done in [*ends, *(4000 + end for end in ends)]]
    assert candidate.asked == reference.asked == [("grid", 8, None)] * 4


def discs(*, wider: float) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Discs of 20 low-res pixels plus `wider`, with edges as sharp as SAM's."""

    def change(out: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**out, "low_res_masks": 10 * (out["low_res_masks"] + np.float32(wider))}

    return change


@pytest.mark.parametrize(
    ("wider", "pairs", "mean_iou"),
    [
        pytest.param(0, (16, 16, 16), 1.0, id="the same"),
        pytest.param(0.5, (16, 16, 16), (20 / 20.5) ** 2, id="IoU 0.95"),
        pytest.param(2, (16, 16, 0), (20 / 22) ** 2, id="IoU 0.83"),
        pytest.param(-6, (0, 0, 0), None, id="IoU 0.49"),
    ],
)
def test_a_grid_of_discs(
    predictor: Callable[..., Predictor],
    photo: Callable[..., Photo],
    wider: float,
    pairs: tuple[int, ...],
    mean_iou: float | None,
) -> None:
    """Sixteen points on a photo of 160 x 120 pixels give sixteen discs of 25 pixels."""
    matchings = compare_everything(
        predictor(discs(wider=wider)),
        predictor(discs(wider=0)),
        PhotoSet(name="desk", photos=(photo(),)),
        everything=Everything(strategy="grid", grid=4),
    )
    assert (matchings[0].reference, matchings[0].candidate) == (16, 16)
    figures = judge_everything(matchings, everything=GRID, min_matched=None).agreement
    assert tuple(row.matched for row in figures) == pairs
    assert figures[0].mean_iou == (mean_iou and pytest.approx(mean_iou, abs=0.04))


GRID = Everything(strategy="grid", grid=16)


def matching(reference: int, candidate: int, *ious: float) -> Matching:
    return Matching(photo="a", reference=reference, candidate=candidate, ious=ious)


@pytest.mark.parametrize(
    ("photos", "min_matched", "failure"),
    [
        pytest.param([matching(4, 1)], None, None, id="nothing is demanded"),
        pytest.param([matching(2, 2, 1.0, 0.9)], 1.0, None, id="all match"),
        pytest.param([matching(2, 2, 1.0, 0.8)], 0.5, None, id="just enough"),
        pytest.param([matching(2, 2, 1.0, 0.8)], 0.6, "0.5000 at IoU 0.9 is below 0.6", id="few"),
        pytest.param([matching(1, 3, 1.0)], 0.6, "0.5000 at IoU 0.9 is below", id="extra masks"),
        pytest.param([matching(1, 1, 1.0)], float("nan"), "below nan", id="no number"),
        pytest.param([matching(0, 0), matching(1, 1, 1.0)], 1.0, None, id="one photo is empty"),
        pytest.param([matching(0, 0)], None, "nothing was compared", id="all photos are empty"),
        pytest.param([matching(0, 0)], 0.0, "nothing was compared", id="empty, 0 demanded"),
    ],
)
def test_the_share_of_matched_masks_is_judged(
    photos: list[Matching], min_matched: float | None, failure: str | None
) -> None:
    verdict = judge_everything(photos, everything=GRID, min_matched=min_matched)
    assert verdict.passed is (failure is None)
    assert len(verdict.failures) == (failure is not None)
    assert failure is None or failure in verdict.failures[0]


def test_the_verdict_as_json() -> None:
    stand_in = Execution(how="emulated", by="ONNX Runtime", reason="there is no GPU")
    verdict = judge_everything(
        [matching(4, 3, 1.0)], everything=GRID, min_matched=None, execution=stand_in
    )
    told = json.loads(json.dumps(to_json(verdict), allow_nan=False))
    assert (told["strategy"], told["grid"]) == ("grid", 16)
    assert told["count_difference"] == -1
    assert (told["reference_masks"], told["candidate_masks"]) == (4, 3)
    assert (told["how"], told["by"]) == ("emulated", "ONNX Runtime")
    assert told["agreement"][-1] == {
        "threshold": 0.9,
        "matched": 1,
        "share": pytest.approx(2 / 7),
        "recall": 0.25,
        "mean_iou": 1.0,
    }
    assert told["photos"][0]["ious"] == [1.0]


SOURCE = WeightsSource(kind="seeded", licence="none", seed=0)


def bundle(model: str = "nanosam") -> SimpleNamespace:
    row = registry.model(model)
    return SimpleNamespace(manifest=SimpleNamespace(target=None, model=model, client=row.client))


def verified(photos: PhotoSet, *, model: str = "nanosam", **asked: object) -> EverythingVerdict:
    request = VerifyEverythingRequest(bundle=Path("b"), **asked)
    return stage.verify_all_masks(bundle(model), SOURCE, photos, request=request, report=SILENT)


class Detector:
    """A predictor that detects one box."""

    def set_image(self, pixels: np.ndarray) -> None:
        pass

    def detected_boxes(self) -> np.ndarray:
        return BOX


BOX = np.float32([[70, 10, 110, 80]])


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> tuple[Finder, Finder]:
    """The predictors of the bundle and the reference, which find the same bar."""
    candidate, reference = Finder(bar_mask()), Finder(bar_mask())
    monkeypatch.setattr(stage, "execution", lambda _: NATIVE)
    opened = {Path("detector"): Detector()}
    monkeypatch.setattr(
        stage, "Predictor", lambda b: opened.get(b, candidate) if isinstance(b, Path) else candidate
    )
    monkeypatch.setattr(stage, "reference_predictor", lambda *_, **__: reference)
    return candidate, reference


@pytest.mark.parametrize(
    ("model", "asked", "given"),
    [
        ("nanosam", {}, ("grid", 8, None)),
        ("nanosam", {"strategy": "hierarchical", "grid": 16}, ("hierarchical", 16, None)),
        ("nanosam", {"detector": Path("detector")}, ("boxes", None, BOX)),
        ("fastsam_s", {}, (None, None, None)),
    ],
)
def test_both_sides_get_the_same_prompts(
    sides: tuple[Finder, Finder],
    photos: PhotoSet,
    model: str,
    asked: dict[str, object],
    given: tuple[object, ...],
) -> None:
    verdict = verified(photos, model=model, min_matched=1.0, **asked)
    assert verdict.passed
    assert (verdict.how, verdict.strategy, verdict.grid) == ("native", *given[:2])
    assert sides[0].asked == sides[1].asked == [given] * 4


def test_both_sides_take_their_points_from_the_proposals(
    sides: tuple[Finder, Finder], photos: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = object()
    monkeypatch.setattr(stage, "read_proposals", lambda _: network)
    verdict = verified(photos, min_matched=1.0, proposals=Path("p.json"))
    assert (verdict.passed, verdict.strategy, verdict.grid) == (True, "proposed", None)
    assert sides[0].asked == sides[1].asked == [("proposed", None, network)] * 4
    assert sides[0].checked is network, "those of another encoder are refused"


@pytest.mark.slow
def test_the_reference_takes_proposals_and_its_masks_stay_the_plain_models(
    photos: PhotoSet,
) -> None:
    row = registry.model("nanosam")
    source = locate(row, ("bundled",))
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in SHAPES.items()}
    network = ProposalNetwork(model=row.name, weights=source.identity, tensors=tensors)
    plain = reference_predictor(row.name, source)
    proposing = reference_predictor(row.name, source, proposes=True)
    for predictor in (plain, proposing):
        predictor.set_image(photos.photos[0].path)
    masks, again = (one.predict(box=[70, 10, 110, 80])[2] for one in (plain, proposing))
    assert np.array_equal(masks, again)
    rule = replace(row.client.everything, points=4, predicted_iou=0.0, stability=0.0)
    assert proposing.everything("proposed", proposals=network, rule=rule)
    with pytest.raises(BadInput, match="no output photo_upscaled"):
        plain.everything("proposed", proposals=network, rule=rule)


def test_other_thresholds_than_edgekits_are_told(
    sides: tuple[Finder, Finder], photos: PhotoSet, report
) -> None:
    client = registry.model("nanosam").client
    old = bundle()
    old.manifest.client = replace(client, everything=EverythingRule(predicted_iou=0.1))
    request = VerifyEverythingRequest(bundle=Path("b"))
    for made, warnings in ((bundle(), 0), (old, 1)):
        stage.verify_all_masks(made, SOURCE, photos, request=request, report=report)
        assert len(report.warnings) == warnings
    assert "other thresholds for everything" in report.warnings[0]


@pytest.mark.parametrize(
    ("model", "asked", "reason"),
    [
        ("nanosam", {"grid": 0}, "grid of points a side cannot be 0"),
        ("nanosam", {"grid": 1000}, "grid of points a side cannot be 1000"),
        ("nanosam", {"strategy": "spiral"}, "no strategy named 'spiral'"),
        ("nanosam", {"strategy": "boxes"}, "needs boxes"),
        ("nanosam", {"strategy": "grid", "detector": Path("detector")}, "takes no boxes"),
        ("nanosam", {"grid": 8, "detector": Path("detector")}, "A grid has no use"),
        ("fastsam_s", {"grid": 8}, "detects all objects at once"),
        ("fastsam_s", {"strategy": "grid"}, "detects all objects at once"),
        ("fastsam_s", {"detector": Path("detector")}, "detects all objects at once"),
        ("fastsam_s", {"proposals": Path("p.json")}, "detects all objects at once"),
        ("nanosam", {"strategy": "proposed"}, "needs a proposal network"),
        ("nanosam", {"grid": 8, "proposals": Path("p.json")}, "neither another strategy nor a"),
        ("nanosam", {"proposals": Path("no.json")}, "no.json"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(
    sides: tuple[Finder, Finder],
    photos: PhotoSet,
    model: str,
    asked: dict[str, object],
    reason: str,
) -> None:
    with pytest.raises(BadInput, match=reason):
        verified(photos, model=model, **asked)
    assert not sides[1].photos


def test_a_bundle_that_cannot_run_never_passes(
    monkeypatch: pytest.MonkeyPatch, photos: PhotoSet
) -> None:
    absent = Execution(how="not run", reason="there is no GPU")
    monkeypatch.setattr(stage, "execution", lambda _: absent)
    verdict = verified(photos)
    assert not verdict.passed
    assert (verdict.how, verdict.failures) == ("not run", ("not run: there is no GPU",))


def test_no_photo_cannot_be_verified() -> None:
    with pytest.raises(BadInput, match="'mine' has no photo"):
        verified(PhotoSet(name="mine", photos=()))


# --- against annotations --------------------------------------------------------------------------


def evaluated(
    finder: Finder, photos: PhotoSet, report: Report = SILENT, **asked: object
) -> stage.EverythingEvaluation:
    request = EvaluateEverythingRequest(
        bundle=Path("b"), annotations=Path("a.json"), **(asked or {"grid": 8})
    )
    return stage.evaluate_all_masks(finder, photos, request=request, report=report)


def test_half_of_the_objects_are_found(photos: PhotoSet) -> None:
    finder = Finder(bar_mask(), ~bar_mask())
    evaluation = evaluated(finder, photos)
    assert (evaluation.photos, evaluation.masks, evaluation.ran) == (4, 8, "native")
    everything, medium = evaluation.recall
    assert (everything.size, everything.instances) == ("all", 8)
    assert (medium.size, medium.instances) == ("medium", 8)
    assert everything.recall == pytest.approx({10: 0.5, 100: 0.5, 1000: 0.5})
    assert finder.asked == [("grid", 8, None)] * 4


@pytest.mark.parametrize("named", [{}, {"strategy": "proposed"}])
def test_proposals_are_checked_and_their_points_are_the_prompts(
    photos: PhotoSet, monkeypatch: pytest.MonkeyPatch, named: dict[str, object]
) -> None:
    network = object()
    monkeypatch.setattr(stage, "read_proposals", lambda _: network)
    finder = Finder(bar_mask())
    evaluation = evaluated(finder, photos, proposals=Path("p.json"), **named)
    assert (evaluation.strategy, evaluation.grid, evaluation.masks) == ("proposed", None, 4)
    assert finder.checked is network
    assert finder.asked == [("proposed", None, network)] * 4


@pytest.mark.parametrize(
    "other", [{"grid": 8}, {"strategy": "grid"}, {"detector": Path("detector")}]
)
def test_proposals_and_other_prompts_are_refused(
    photos: PhotoSet, other: dict[str, object]
) -> None:
    with pytest.raises(BadInput, match="neither another strategy nor a grid"):
        evaluated(Finder(), photos, proposals=Path("p.json"), **other)


def test_the_strategy_proposed_needs_proposals(photos: PhotoSet) -> None:
    with pytest.raises(BadInput, match="needs a proposal network"):
        evaluated(Finder(), photos, strategy="proposed")


def test_a_detector_takes_no_proposals(photos: PhotoSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Finder, "client", registry.model("fastsam_s").client)
    with pytest.raises(BadInput, match="detects all objects at once"):
        evaluated(Finder(), photos, proposals=Path("p.json"))


def test_no_mask_at_all_is_told(photos: PhotoSet, report) -> None:
    evaluation = evaluated(Finder(), photos, report)
    assert evaluation.masks == 0
    assert evaluation.recall[0].recall[1000] == 0
    assert ["No mask was found" in text for text in report.warnings] == [True]


def test_photos_without_objects_are_not_segmented(photos: PhotoSet, coco: Path) -> None:
    first = photos.photos[0]
    plain = catalog.photos_from(coco.parent / "images").photos
    finder = Finder(disc_mask(), bar_mask())
    evaluation = evaluated(finder, PhotoSet(name="mixed", photos=(first, *plain)))
    assert (evaluation.photos, len(finder.photos)) == (1, 1)
    assert evaluation.recall[0].recall[1000] == 1.0


def test_photos_without_annotations_are_refused(coco: Path) -> None:
    with pytest.raises(BadInput, match="annotates nothing"):
        evaluated(Finder(), photos_from(coco.parent / "images"))


def test_a_device_without_pycocotools_is_told_first(
    monkeypatch: pytest.MonkeyPatch, photos: PhotoSet
) -> None:
    monkeypatch.setattr("edgekit.stages.evaluation.importlib.util.find_spec", lambda _: None)
    finder = Finder()
    with pytest.raises(RuntimeMissing, match="pip install pycocotools"):
        evaluated(finder, photos)
    assert not finder.photos
