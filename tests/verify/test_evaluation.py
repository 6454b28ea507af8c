"""Figures against annotations, with a decoder whose masks are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import edgekit
from edgekit import pipeline
from edgekit.catalog import photos_from
from edgekit.cli import app
from edgekit.errors import BadInput
from edgekit.models.registry import model
from edgekit.report import SILENT
from edgekit.runtime import Predictor
from edgekit.stages.evaluation import evaluate_photos
from edgekit.verification.evaluation import (
    KINDS,
    SURVEY_KINDS,
    InstanceFigures,
    evaluate,
    filled_box,
    means,
)
from tests.verify.box_drawer import BoxDrawer, Encoder


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO file with a disc (RLE) and a bar (polygon) on each of four photos, 120 x 90 pixels."""
    rows, columns = np.mgrid[:90, :120]
    disc = ((columns - 30) ** 2 + (rows - 40) ** 2 <= 20**2).T.ravel()
    runs = np.diff([0, *(np.flatnonzero(np.diff(disc)) + 1), disc.size]).tolist()
    shapes = (
        ({"size": [90, 120], "counts": runs}, [10, 20, 41, 41], int(disc.sum())),
        ([[70, 10, 110, 10, 110, 80, 70, 80]], [70, 10, 40, 70], 40 * 70),
    )
    (tmp_path / "images").mkdir()
    for index in range(4):
        Image.new("RGB", (120, 90), "grey").save(tmp_path / "images" / f"{index}.png")
    document = {
        "images": [{"id": index, "file_name": f"{index}.png"} for index in range(4)],
        "annotations": [
            {"image_id": index, "segmentation": shape, "bbox": box, "area": area, "iscrowd": 0}
            for index in range(4)
            for shape, box, area in shapes
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(params=["nanosam", "mobilesam"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return Predictor.from_sessions(model(request.param).client, Encoder(), BoxDrawer())


def test_a_decoder_that_fills_boxes_scores_like_the_filled_box(
    predictor: Predictor, coco: Path
) -> None:
    figures = list(evaluate(predictor, photos_from(coco).photos))
    assert len(figures) == 8  # a disc of 41 x 41 and a bar of 40 x 70 on each of four photos
    for one in figures:
        assert one.iou["box"] == pytest.approx(one.iou["filled_box"], abs=0.03)
        assert one.iou["box_point"] == one.iou["box"]
    disc, bar = figures[0], figures[1]
    assert bar.iou["filled_box"] == 1
    assert disc.iou["filled_box"] == pytest.approx(np.pi * 20**2 / 41**2, abs=0.001)


def test_best_of_three_excludes_mask_0_and_chosen_follows_the_score(
    predictor: Predictor, coco: Path
) -> None:
    disc = next(iter(evaluate(predictor, photos_from(coco).photos)))
    # squares of half side 40 (mask 0), 10, 20 and 80 in 256 cells over 120 pixels; radius 20
    area = np.pi * 20**2
    side = 2 * 10 * 120 / 256
    assert disc.iou["chosen"] == pytest.approx(side**2 / area, abs=0.02)
    assert disc.iou["point"] > disc.iou["best_of_three"] > disc.iou["chosen"]
    assert disc.iou["best_of_three"] == pytest.approx((2 * side) ** 2 / area, abs=0.02)


class Recorder(BoxDrawer):
    """Keeps the points of every call, in photo pixels, and how many of them are foreground."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []

    def run(self, feeds):
        for places, labels in zip(feeds["point_coords"], feeds["point_labels"], strict=True):
            self.points.append(places[labels == 1] * 120 / 1024)
        return super().run(feeds)


def test_the_surveys_points_are_random_repeatable_and_in_the_mask(coco: Path) -> None:
    photos = photos_from(coco).photos
    seen = []
    for _ in range(2):
        recorder = Recorder()
        predictor = Predictor.from_sessions(model("nanosam").client, Encoder(), recorder)
        disc, bar = list(evaluate(predictor, photos[:1], survey=True))
        assert [*disc.iou] == [*KINDS, *SURVEY_KINDS]
        assert bar.iou["tight_box"] == 1
        seen.append(recorder.points)
    assert all(np.array_equal(a, b) for a, b in zip(*seen, strict=True))
    several = [points for points in seen[0] if len(points) > 1]
    assert [len(points) for points in several] == [2, 3, 2, 3]  # of the disc, then of the bar
    for x, y in np.concatenate(several[:2]):
        assert (x - 30) ** 2 + (y - 40) ** 2 <= 20.5**2
    other = list(evaluate(predictor, photos[1:2], survey=True))
    assert other[0].iou["random_1"] != disc.iou["random_1"]


def test_the_one_mask_of_a_family_is_its_best(coco: Path) -> None:
    one_mask = Predictor.from_sessions(model("rwkvsam").client, Encoder(), BoxDrawer())
    for figures in evaluate(one_mask, photos_from(coco).photos):
        iou = figures.iou
        assert iou["best_of_three"] == iou["chosen"] == iou["point"]


def test_small_boxes_are_not_scored(predictor: Predictor, coco: Path) -> None:
    photo = photos_from(coco).photos[0]
    small = replace(photo.instances[0], box=(10.0, 20.0, 41.5, 61.0))
    assert not list(evaluate(predictor, [replace(photo, instances=(small,))]))


def without_masks(coco: Path, *, of: int) -> Path:
    """The annotations, the first `of` of them without their masks."""
    document = json.loads(coco.read_text())
    for annotation in document["annotations"][:of]:
        del annotation["segmentation"]
    coco.write_text(json.dumps(document))
    return coco


class Warnings:
    """A report that keeps its warnings."""

    stage = staticmethod(SILENT.stage)
    progress = staticmethod(SILENT.progress)

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


def test_boxes_without_masks_are_not_scored_and_counted(predictor: Predictor, coco: Path) -> None:
    report = Warnings()
    photos = photos_from(without_masks(coco, of=3))
    assert evaluate_photos(predictor, photos, report=report).means[0].instances == 5
    assert report.texts == ["3 of 8 annotations are boxes without a mask: not scored."]


def test_boxes_alone_cannot_be_scored(predictor: Predictor, coco: Path) -> None:
    photos = photos_from(without_masks(coco, of=8))
    with pytest.raises(BadInput, match="boxes without masks, and only masks"):
        evaluate_photos(predictor, photos, report=SILENT)


@pytest.mark.parametrize("given", ["images", "images/0.png", "captions.json"])
def test_photos_without_annotations_are_told(predictor: Predictor, coco: Path, given: str) -> None:
    document = json.loads(coco.read_text())
    document["annotations"] = [{"image_id": 0, "caption": "a disc and a bar"}]
    (coco.parent / "captions.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match="annotates nothing"):
        evaluate_photos(predictor, photos_from(coco.parent / given), report=SILENT)


def test_the_photos_may_be_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, coco: Path
) -> None:
    drawn = Predictor.from_sessions(model("nanosam").client, Encoder(), BoxDrawer())
    monkeypatch.setattr(pipeline, "Predictor", lambda _: drawn)
    (coco.parent / "images").rename(tmp_path / "elsewhere")
    arguments = ["evaluate", "bundle", str(coco)]
    assert "--photos" in CliRunner().invoke(app, arguments).output
    found = CliRunner().invoke(app, [*arguments, "--photos", str(tmp_path / "elsewhere")])
    assert found.exit_code == 0, found.output


def row(*, area: int, iou: float) -> InstanceFigures:
    return InstanceFigures(photo="a", area=area, iou=dict.fromkeys(KINDS, iou))


def test_means_are_by_size_class() -> None:
    table = means([row(area=1023, iou=0.2), row(area=1024, iou=0.4), row(area=9216, iou=0.9)])
    assert [(m.size, m.instances) for m in table] == [
        ("all", 3),
        ("small", 1),
        ("medium", 1),
        ("large", 1),
    ]
    assert table[0].iou["point"] == pytest.approx(0.5)
    assert table[3].iou["box"] == pytest.approx(0.9)
    assert not means([])


def test_the_filled_box_stays_on_the_photo() -> None:
    filled = filled_box((-3.0, 2.0, 4.0, 99.0), (6, 8))
    assert filled.sum() == 4 * 4
    assert filled[2:, :4].all()


def test_the_command_prints_writes_json_and_fills_the_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, coco: Path
) -> None:
    drawn = Predictor.from_sessions(model("nanosam").client, Encoder(), BoxDrawer())
    monkeypatch.setattr(pipeline, "Predictor", lambda _: drawn)
    card, figures = tmp_path / "card.md", tmp_path / "figures.json"
    card.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    arguments = ["evaluate", "bundle", str(coco), "--json", str(figures), "--card", str(card)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "one point, best of 3" in result.stdout
    assert "random" not in result.stdout
    assert "three random points" in CliRunner().invoke(app, [*arguments[:3], "--survey"]).stdout
    overall = json.loads(figures.read_text())["mean_iou"][0]
    assert overall["instances"] == 8
    text = card.read_text()
    assert f"| box | {overall['iou']['box']:.3f} |" in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "4 photos of instances.json" in text


def test_the_library_returns_the_means_and_reports_each_photo(
    monkeypatch: pytest.MonkeyPatch, coco: Path, report
) -> None:
    drawn = Predictor.from_sessions(model("nanosam").client, Encoder(), BoxDrawer())
    monkeypatch.setattr(pipeline, "Predictor", lambda _: drawn)
    request = edgekit.EvaluateRequest(bundle=Path("bundle"), annotations=coco)
    evaluation = edgekit.evaluate(request, report=report)
    assert report.stages == ["evaluate"]
    assert evaluation.ran == "native"
    assert evaluation.photos == 4
    assert [row.size for row in evaluation.means] == ["all", "medium"]


def test_annotations_without_a_large_instance_are_refused(
    monkeypatch: pytest.MonkeyPatch, coco: Path
) -> None:
    monkeypatch.setattr(pipeline, "Predictor", lambda _: None)
    document = json.loads(coco.read_text())
    for annotation in document["annotations"]:
        annotation["bbox"][2:] = [31, 31]
    coco.write_text(json.dumps(document))
    with pytest.raises(BadInput, match="large enough"):
        edgekit.evaluate(edgekit.EvaluateRequest(bundle=Path("bundle"), annotations=coco))


def test_a_card_without_a_place_is_refused_before_evaluating(tmp_path: Path, coco: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("# something else\n")
    result = CliRunner().invoke(app, ["evaluate", "no-bundle", str(coco), "--card", str(card)])
    assert result.exit_code == 2
    assert "no place for figures" in result.stderr
