"""COCO files into photos and regions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from edgekit.errors import BadInput
from edgekit.train.data.annotations import AnnotatedPhoto, Region, read_annotations
from tests.train.conftest import bar_mask, disc_mask


def drawn(photo: AnnotatedPhoto, region: Region) -> np.ndarray:
    whole = np.zeros(photo.pixels.shape[:2], bool)
    height, width = region.mask.shape
    whole[region.top : region.top + height, region.left : region.left + width] = region.mask == 255
    return whole


def test_plain_run_lengths_and_polygons(photos: tuple[AnnotatedPhoto, ...]) -> None:
    assert [photo.name for photo in photos] == ["0.png", "1.png", "2.png", "3.png"]
    for photo in photos:
        disc, bar = photo.regions
        np.testing.assert_array_equal(drawn(photo, disc), disc_mask())
        np.testing.assert_array_equal(drawn(photo, bar), bar_mask())
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
    photo = read_annotations(path)[0]
    np.testing.assert_array_equal(drawn(photo, photo.regions[0]), disc_mask())


def test_crowds_empty_polygons_and_stuff(edited: Callable[..., Path]) -> None:
    def change(document: dict) -> None:
        first, second, third, *_ = document["annotations"]
        first["iscrowd"] = 1
        second["segmentation"] = [[1.0, 2.0]]
        third["isthing"] = False

    photos = read_annotations(edited(change))
    assert photos[0].regions == ()
    assert [region.thing for region in photos[1].regions] == [False, True]


def test_photos_are_found_in_the_folder_that_is_named(
    edited: Callable[..., Path], tmp_path: Path
) -> None:
    path = edited(lambda _: None)
    elsewhere = (path.parent / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="--photos"):
        read_annotations(path)
    assert len(read_annotations(path, images=elsewhere)) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["images"][0].update(file_name="../0.png"), "leads out"),
        (lambda d: d.pop("annotations"), "annotations: missing"),
        (lambda d: d.update(annotations=[]), "no instances"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[5, 5]), "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused(
    edited: Callable[..., Path], change: Callable[[dict], object], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        read_annotations(edited(change))


def test_not_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("no")
    with pytest.raises(BadInput, match="COCO"):
        read_annotations(tmp_path / "a.json")
