"""Annotations must be of their upright photo's size, whatever their form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgekit.catalog import photos_from
from edgekit.errors import BadInput

ORIENTATION = 0x0112
SEGMENTATIONS: dict[str, object] = {
    "polygon": [[120.0, 80.0, 264.0, 80.0, 264.0, 240.0, 120.0, 240.0]],
    "box": None,
    "runs": {"size": [320, 480], "counts": [320 * 480]},
}


def write(
    folder: Path,
    *,
    photo: tuple[int, int],
    stated: tuple[object, object] | None = (480, 320),
    orientation: int = 1,
    form: str = "polygon",
    suffix: str = "jpg",
) -> Path:
    """A photo whose pixels are stored at the size `photo`, annotated at 480 x 320."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", photo).save(folder / f"a.{suffix}", exif=exif)
    image: dict[str, Any] = {"id": 1, "file_name": f"a.{suffix}"}
    if stated:
        image |= {"width": stated[0], "height": stated[1]}
    annotation = {
        "image_id": 1,
        "bbox": [120, 80, 144, 160],
        "area": 23040,
        "segmentation": SEGMENTATIONS[form],
    }
    path = folder / "ann.json"
    path.write_text(json.dumps({"images": [image], "annotations": [annotation]}))
    return path


@pytest.mark.parametrize("form", SEGMENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("photo", "orientation"), [((480, 320), 1), ((480, 320), 3), ((320, 480), 6), ((320, 480), 8)]
)
def test_the_upright_size_fits(
    tmp_path: Path, form: str, suffix: str, photo: tuple[int, int], orientation: int
) -> None:
    path = write(tmp_path, photo=photo, orientation=orientation, form=form, suffix=suffix)
    assert len(photos_from(path).photos[0].instances) == 1


@pytest.mark.parametrize("form", SEGMENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("photo", "orientation", "reason"),
    [
        ((480, 320), 6, r"480x320 and is 320x480 once its EXIF orientation is applied"),
        ((480, 320), 8, r"480x320 and is 320x480 once its EXIF orientation is applied"),
        ((240, 160), 1, r"480x320 and is 240x160, a resized copy"),
        ((213, 142), 1, r"480x320 and is 213x142, a resized copy"),
        ((960, 640), 1, r"480x320 and is 960x640, a resized copy"),
        ((320, 480), 1, r"480x320 and is 320x480\n"),
        ((500, 320), 1, r"480x320 and is 500x320\n"),
    ],
)
def test_another_size_is_refused(
    tmp_path: Path, form: str, suffix: str, photo: tuple[int, int], orientation: int, reason: str
) -> None:
    path = write(tmp_path, photo=photo, orientation=orientation, form=form, suffix=suffix)
    with pytest.raises(BadInput, match=rf"'a\.{suffix}' is annotated at {reason}") as caught:
        photos_from(path)
    assert ("exiftool" in (caught.value.next_step or "")) == ("EXIF" in reason)


@pytest.mark.parametrize("stated", [(480.0, 320.0), ("480", "320")])
def test_a_size_as_another_type(tmp_path: Path, stated: tuple[object, object]) -> None:
    assert photos_from(write(tmp_path, photo=(480, 320), stated=stated)).photos[0].instances
    with pytest.raises(BadInput, match="is annotated at 480x320"):
        photos_from(write(tmp_path, photo=(240, 160), stated=stated))


@pytest.mark.parametrize("stated", [None, (0, 0), (None, None), (-1, 3), (float("inf"), 1)])
def test_without_a_size_the_boxes_must_end_inside(
    tmp_path: Path, stated: tuple[object, object] | None
) -> None:
    assert photos_from(write(tmp_path, photo=(264, 239), stated=stated)).photos[0].instances
    with pytest.raises(BadInput, match="is 240x160 and its annotations reach x 264 and y 240"):
        photos_from(write(tmp_path, photo=(240, 160), stated=stated))


def test_run_lengths_of_another_size_than_stated(tmp_path: Path) -> None:
    path = write(tmp_path, photo=(240, 160), stated=(240, 160), form="runs")
    with pytest.raises(BadInput, match="is annotated at 480x320 and is 240x160"):
        photos_from(path)


def test_three_photos_are_named_and_the_others_counted(tmp_path: Path) -> None:
    path = write(tmp_path, photo=(240, 160))
    document = json.loads(path.read_text())
    document["images"] = [
        {"id": n, "file_name": f"{n}.png", "width": 480, "height": 320} for n in range(8)
    ]
    document["annotations"] = [{"image_id": n, "bbox": [1, 1, 9, 9]} for n in range(8)]
    path.write_text(json.dumps(document))
    for n in range(8):
        Image.new("RGB", (240, 160)).save(tmp_path / f"{n}.png")
    with pytest.raises(BadInput, match=r"'0\.png'.*'1\.png'.*'2\.png'.*; and 5 more"):
        photos_from(path)
