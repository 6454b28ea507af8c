"""Boxes of one photo, in each form of JSON that tools write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.catalog.box_files import read_boxes
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
