"""Average precision of the masks for a detector's boxes, with a decoder that fills them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from edgekit import pipeline
from edgekit.catalog import read_detections
from edgekit.cli import app
from edgekit.errors import BadInput
from edgekit.models.registry import model
from edgekit.runtime import Predictor
from tests.verify.box_drawer import BoxDrawer, Encoder

BARS = {1: [70, 10, 40, 70], 2: [10, 10, 30, 30]}
"""The box of each category's object, which fills it."""


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.from_sessions(model("nanosam").client, Encoder(), BoxDrawer())
    monkeypatch.setattr(pipeline, "Predictor", lambda _: predictor)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two photos of 120 x 90 pixels, each with one object of category 1 and one of category 2."""
    for index in (7, 8):
        Image.new("RGB", (120, 90), "grey").save(tmp_path / f"{index}.png")
    document = {
        "images": [{"id": index, "file_name": f"{index}.png"} for index in (7, 8)],
        "annotations": [
            {
                "image_id": index,
                "category_id": category,
                "bbox": [x, y, w, h],
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
            for index in (7, 8)
            for category, (x, y, w, h) in BARS.items()
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    return path


def detection(image: int, category: int, box: list[float], score: float = 0.9) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


EXACT = [detection(image, category, BARS[category]) for image in (7, 8) for category in BARS]
TABLE = {
    "exact boxes": (EXACT, {"every": 1.0, "at_50": 1.0, "small": 1.0, "medium": 1.0}),
    "the other category's": (
        [detection(image, 3 - category, BARS[category]) for image in (7, 8) for category in BARS],
        {"every": 0.0, "at_50": 0.0},
    ),
    "one category of two": (
        [one for one in EXACT if one["category_id"] == 1],
        {"every": 0.5, "medium": 1.0, "small": 0.0},
    ),
    "a surer wrong box": (
        [*EXACT[:1], EXACT[2], detection(7, 1, [0, 0, 30, 80], 0.95)],
        {"at_50": 2 / 3 / 2},
    ),
    "beyond the edge": (
        [detection(7, 1, [70, 10, 40, 70]), detection(8, 1, [200, 10, 40, 70])],
        {"at_50": 51 / 101 / 2},
    ),
}


@pytest.mark.parametrize(("results", "figures"), TABLE.values(), ids=TABLE)
def test_precision_is_cocos(
    coco: Path, results: list[dict[str, object]], figures: dict[str, float]
) -> None:
    detections = coco.with_name("results.json")
    detections.write_text(json.dumps(results))
    request = pipeline.EvaluateDetectionsRequest(
        bundle=Path("bundle"), annotations=coco, detections=detections
    )
    evaluation = pipeline.evaluate_detections(request)
    got = evaluation.precision.to_json()
    assert {name: got[name] for name in figures} == pytest.approx(figures, abs=0.02)
    assert got["large"] is None
    assert (evaluation.photos, evaluation.detections) == (2, len(results))


WRONG = {
    "another list": ("[[1, 2, 3, 4]]", "holds no detections"),
    "no score": ('[{"image_id": 7, "bbox": [1, 2, 3, 4]}]', "score"),
    "not finite": ('[{"image_id": 7, "bbox": [1, 2, 3, NaN], "score": 1}]', "holds no detections"),
    "not JSON": ("{", "holds no detections"),
    "of other photos": ('[{"image_id": 99, "bbox": [1, 2, 3, 4], "score": 1}]', "No detection is"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_other_files_are_refused_in_one_sentence(coco: Path, text: str, message: str) -> None:
    detections = coco.with_name("results.json")
    detections.write_text(text)
    request = pipeline.EvaluateDetectionsRequest(
        bundle=Path("bundle"), annotations=coco, detections=detections
    )
    with pytest.raises(BadInput, match=message):
        pipeline.evaluate_detections(request)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json cannot be read"):
        read_detections(tmp_path / "none.json")


def test_the_command_prints_the_figures_and_counts_what_it_left_out(coco: Path) -> None:
    detections = coco.with_name("results.json")
    detections.write_text(json.dumps([*EXACT, detection(99, 1, [1, 2, 3, 4])]))
    arguments = ["evaluate", "bundle", str(coco), "--detections", str(detections)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "none annotated" in result.stdout
    assert "1 detections are of photos" in " ".join(result.output.split())
    both = CliRunner().invoke(app, [*arguments, "--survey"])
    assert "either --survey or --detections" in both.output
