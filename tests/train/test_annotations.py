"""COCO files as training sees them: photos in memory, and regions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from pycocotools import mask as coco_mask

from edgekit.errors import BadInput
from edgekit.train.data import reading
from edgekit.train.data.annotations import AnnotatedPhoto, Region
from edgekit.train.data.reading import read_data
from tests.coco_shapes import bar_mask, disc_mask
from tests.train.conftest import load_photos


def full_mask(photo: AnnotatedPhoto, region: Region) -> np.ndarray:
    whole = np.zeros(photo.pixels.shape[:2], bool)
    height, width = region.mask.shape
    whole[region.top : region.top + height, region.left : region.left + width] = region.mask == 255
    return whole


def test_plain_run_lengths_and_polygons(photos: tuple[AnnotatedPhoto, ...]) -> None:
    assert [photo.name for photo in photos] == ["0.png", "1.png", "2.png", "3.png"]
    for photo in photos:
        disc, bar = photo.regions
        np.testing.assert_array_equal(full_mask(photo, disc), disc_mask())
        np.testing.assert_array_equal(full_mask(photo, bar), bar_mask())
        assert disc.mask.shape == (41, 41)  # cropped to the region
        assert disc.thing
        assert (photo.pixels[disc_mask()] == (220, 30, 30)).all()


@pytest.fixture
def edited(coco: Path, tmp_path: Path) -> Callable[..., Path]:
    """`edited(change)`: a copy of the set after `change(document)`."""

    def make(change: Callable[[dict], object]) -> Path:
        folder = tmp_path / "edited"
        shutil.copytree(coco.parent, folder)
        document = json.loads((folder / "instances.json").read_text())
        change(document)
        (folder / "instances.json").write_text(json.dumps(document))
        return folder / "instances.json"

    return make


def test_compressed_run_lengths(edited: Callable[..., Path]) -> None:
    packed = coco_mask.encode(np.asfortranarray(disc_mask().astype(np.uint8)))
    packed = {"size": packed["size"], "counts": packed["counts"].decode()}
    path = edited(lambda d: d["annotations"][0].update(segmentation=packed))
    photo = load_photos(path)[0]
    np.testing.assert_array_equal(full_mask(photo, photo.regions[0]), disc_mask())


@pytest.mark.parametrize("flag", [False, 0])
def test_crowds_and_empty_polygons_are_left_out_and_stuff_is_marked(
    edited: Callable[..., Path], flag: object
) -> None:
    def change(document: dict) -> None:
        first, second, third, *_ = document["annotations"]
        first["iscrowd"] = 1
        second["segmentation"] = [[1.0, 2.0]]
        third["isthing"] = flag

    photos = load_photos(edited(change))
    assert photos[0].regions == ()
    assert [region.thing for region in photos[1].regions] == [False, True]


def test_what_is_held_out_does_not_depend_on_the_files_order(edited: Callable[..., Path]) -> None:
    data = read_data((edited(lambda d: d["images"].reverse()),), None)
    assert [file.name for file in data.held_out_files] == ["0.png"]
    assert data.train.extents.tolist() == [[1.0, 0.75]] * 3


def test_photos_are_read_from_the_folder_that_is_given(
    edited: Callable[..., Path], tmp_path: Path
) -> None:
    path = edited(lambda _: None)
    elsewhere = (path.parent / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="--photos"):
        read_data((path,), None)
    assert len(read_data((path,), elsewhere).train) == 3


def test_two_files_give_the_photos_of_both_and_hold_out_the_same_share(
    coco: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(coco.parent, tmp_path / "other"), coco.name)
    data = read_data((coco, other), None)
    assert len(data.coco) == 2
    assert len(data.train_files) == len(data.train) == 7
    assert {file.parent.parent for file in data.train_files} == {coco.parent, other.parent}
    assert [file.name for file in data.held_out_files] == ["0.png"]


def test_a_photo_in_two_files_is_refused(coco: Path, tmp_path: Path) -> None:
    same = shutil.copy(coco, tmp_path / "same.json")
    with pytest.raises(BadInput, match=r"0\.png is in .*instances\.json and in .*same\.json"):
        read_data((coco, Path(same)), coco.parent / "images")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["images"][0].update(file_name="../0.png"), "leads out"),
        (lambda d: d["images"][0].update(file_name="1.png"), "listed twice"),
        (lambda d: d.pop("annotations"), "no instances"),
        (lambda d: d.update(annotations=[]), "no instances"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[5, 5]), "annotated at 5x5"),
    ],
)
def test_unusable_annotations_are_refused(
    edited: Callable[..., Path], change: Callable[[dict], object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        read_data((edited(change),), None)


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("no")
    with pytest.raises(BadInput, match="COCO"):
        read_data((tmp_path / "a.json",), None)


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "instances.json").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no disk
    with pytest.raises(BadInput, match="larger than"):
        read_data((tmp_path / "instances.json",), None)


def test_photos_that_do_not_fit_are_refused_before_they_are_read(
    coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "annotated_photo", lambda _: pytest.fail("was read"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(BadInput, match=r"on these 4 photos takes 0\.0 GB"):
        read_data((coco,), None)
