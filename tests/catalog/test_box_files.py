"""Boxes of one photo, in each form of JSON that tools write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.catalog.box_files import Detection, read_boxes, read_detections
from edgekit.errors import BadInput

IMAGE = {"id": 1, "file_name": "images/photo.jpg", "width": 100, "height": 80}
OTHER = {**IMAGE, "id": 2, "file_name": "images/other.jpg"}
MARKED = {"image_id": 1, "bbox": [10, 20, 30, 40], "area": 1200}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boxes.json"


@pytest.mark.parametrize(
    "document",
    [
        [[10, 20, 40, 60]],
        [{"image_id": 7, "bbox": [10, 20, 30, 40], "score": 0.9, "category_id": 1}],
        [{"bbox": [10.0, 20.0, 30.0, 40.0]}],
        {"images": [IMAGE, OTHER], "annotations": [MARKED, {**MARKED, "image_id": 2}]},
        {"images": [{**IMAGE, "file_name": "any.jpg"}], "annotations": [MARKED]},
    ],
)
def test_forms(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1))
    assert read_boxes(path, "photo.jpg") == [(10, 20, 40, 60)]


@pytest.mark.parametrize("document", [[], {"images": [IMAGE], "annotations": []}])
def test_no_boxes(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))
    assert read_boxes(path, "photo.jpg") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "boxes"),
        ("[[1, 2, 3]]", r"0.3: missing|holds no boxes"),
        ('[["a", 2, 3, 4]]', "holds no boxes: 0.0"),
        ("[[1, 2, 3, 1e999]]", "holds no boxes"),
        ("[[1, 2, 3, 4]", "holds no boxes"),
        ('[{"bbox": [1, 2, 3, 4], "image_id": true}]', "0.image_id: expected a number or text"),
        ('[{"score": 1}]', "0.bbox: missing"),
        ('[{"bbox": [1,2,3,4], "image_id": 1}, {"bbox": [1,2,3,4], "image_id": 2}]', "2 photos"),
        (json.dumps({"images": [IMAGE, OTHER], "annotations": []}), "one.jpg is not one of them"),
        ('{"boxes": []}', "images: missing"),
    ],
)
def test_other_files_are_refused(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        read_boxes(path, "one.jpg")


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_boxes(path, "photo.jpg")


@pytest.mark.parametrize("image", ["1", "1.0", '"1"'])
@pytest.mark.parametrize("category", ["3", "3.0", '"3"'])
def test_ids_of_detections_are_numbers_or_text(path: Path, image: str, category: str) -> None:
    path.write_text(
        f'[{{"image_id": {image}, "category_id": {category}, "bbox": [1, 2, 3, 4], "score": 0.5}}]'
    )
    assert read_detections(path) == {"1": (Detection(box=(1, 2, 4, 6), score=0.5, category="3"),)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('"image_id": null', "0.image_id: expected a number or text"),
        ('"image_id": true', "0.image_id: expected a number or text"),
        ('"image_id": 1.5', "0.image_id: expected a number or text"),
        ('"category_id": [1]', "0.category_id: expected a number or text"),
        ('"score": true', "0.score: Input should be a valid number"),
        ('"score": NaN', "0.score: Input should be a finite number"),
        ('"bbox": [1, 2, 3]', "0.bbox"),
    ],
)
def test_other_detections_are_refused(path: Path, change: str, words: str) -> None:
    fields = {"image_id": "1", "category_id": "3", "bbox": "[1, 2, 3, 4]", "score": "0.5"}
    name, _, value = change.replace('"', "").partition(": ")
    fields[name] = value
    path.write_text("[{" + ", ".join(f'"{key}": {text}' for key, text in fields.items()) + "}]")
    with pytest.raises(BadInput, match=words):
        read_detections(path)
