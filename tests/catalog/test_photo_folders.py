"""Where the photos of a COCO JSON are searched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from edgekit.catalog import calibration_set, photos_from, photos_from_coco
from edgekit.errors import BadInput


def write(root: Path, *, json_at: str, photo_at: str, name: str = "a.png") -> Path:
    for file in (root / json_at, root / photo_at):
        file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8)).save(root / photo_at)
    document = {"images": [{"id": 1, "file_name": name, "width": 10, "height": 8}]}
    (root / json_at).write_text(json.dumps(document))
    return root / json_at


@pytest.mark.parametrize(
    ("json_at", "photo_at", "name"),
    [
        ("ann.json", "a.png", "a.png"),
        ("ann.json", "images/a.png", "a.png"),
        ("annotations/instances_val2017.json", "val2017/a.png", "a.png"),
        ("annotations/instances_val2017.json", "images/val2017/a.png", "a.png"),
        ("annotations/instances_val2017.json", "images/a.png", "a.png"),
        ("annotations/person_keypoints_train2017.json", "train2017/a.png", "a.png"),
        ("annotations/mine.json", "val2017/a.png", "a.png"),
        ("annotations/val.json", "val/a.png", "a.png"),
        ("annotations/instances_default.json", "images/default/a.png", "a.png"),
        ("annotations/instances_val2017.json", "val2017/a.png", "val2017/a.png"),
        ("train/_annotations.coco.json", "train/a.png", "a.png"),
        ("ann.json", "b/c/a.png", "b\\c\\a.png"),
        ("ann.json", "images/b/a.png", "b\\a.png"),
        ("ann.json", "b\\a.png", "b\\a.png"),
        ("ann.json", "a.png", "./a.png"),
    ],
)
def test_layouts(tmp_path: Path, json_at: str, photo_at: str, name: str) -> None:
    path = write(tmp_path, json_at=json_at, photo_at=photo_at, name=name)
    (photo,) = photos_from(path).photos
    assert photo.path.samefile(tmp_path / photo_at)


@pytest.mark.parametrize(
    ("json_at", "photo_at"),
    [
        ("annotations/instances_val2017.json", "test/a.png"),
        ("sub/ann.json", "a.png"),
        ("ann.json", "b/a.png"),
    ],
)
def test_other_folders_are_not_searched(tmp_path: Path, json_at: str, photo_at: str) -> None:
    path = write(tmp_path, json_at=json_at, photo_at=photo_at)
    with pytest.raises(BadInput, match=r"'a\.png' is missing"):
        photos_from(path)
    (photo,) = photos_from_coco(path, photo_dir=(tmp_path / photo_at).parent).photos
    assert photo.path == tmp_path / photo_at


def test_the_folder_of_the_split_comes_before_another(tmp_path: Path) -> None:
    path = write(tmp_path, json_at="annotations/instances_val2017.json", photo_at="val2017/a.png")
    write(tmp_path, json_at="annotations/other.json", photo_at="train2017/a.png")
    assert photos_from(path).photos[0].path.parent.name == "val2017"


def test_a_photo_folder_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, json_at="ann.json", photo_at="a.png")
    with pytest.raises(BadInput, match=r"there is no folder .*gone"):
        photos_from_coco(path, photo_dir=tmp_path / "gone")


@pytest.mark.parametrize("find", [photos_from, lambda path, **k: calibration_set(str(path), **k)])
def test_a_folder_that_the_user_names_for_a_json(tmp_path: Path, find) -> None:
    path = write(tmp_path, json_at="made/ann.json", photo_at="elsewhere/deep/a.png")
    (photo,) = find(path, photo_dir=tmp_path / "elsewhere" / "deep").photos
    assert photo.path == tmp_path / "elsewhere" / "deep" / "a.png"


@pytest.mark.parametrize("source", [None, "half", "folder", "photo"])
def test_a_named_folder_is_refused_where_it_would_not_be_used(
    tmp_path: Path, source: str | None
) -> None:
    path = write(tmp_path, json_at="ann.json", photo_at="photos/a.png")
    places = {"folder": str(path.parent / "photos"), "photo": str(path.parent / "photos/a.png")}
    named = places.get(source or "", source)
    with pytest.raises(BadInput, match=r"--photos .* is not used: .* is no COCO JSON"):
        calibration_set(named, photo_dir=tmp_path)
    assert calibration_set(named).photos
