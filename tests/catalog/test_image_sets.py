"""Image sets: those that ship, and photos that a user names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgekit.catalog import (
    Photo,
    PhotoSet,
    calibration_set,
    held_out_set,
    image_set,
    image_sets,
    instance_mask,
    photos_from,
    tables,
)
from edgekit.errors import BadInput, UnknownName

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "calibration" / "default"


def size_of(photo: Photo) -> tuple[int, int]:
    with Image.open(photo.path) as opened:
        return opened.size


@pytest.fixture(scope="module")
def default() -> PhotoSet:
    return image_set()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the calibration folder that a test may damage."""
    shutil.copytree(ROOT / "calibration", tmp_path / "_data" / "calibration")
    monkeypatch.setattr(tables, "_PACKAGE", tmp_path)
    return tmp_path / "_data" / "calibration"


def test_default_set(default: PhotoSet) -> None:
    assert image_sets() == ("default", "half")
    assert 12 <= len(default.photos) <= 16
    assert all(photo.path.is_file() and photo.instances for photo in default.photos)
    assert all("/by/2.0/" in (photo.licence or "") for photo in default.photos)
    assert all("flickr.com" in (photo.attribution or "") for photo in default.photos)


def test_held_out_photos_are_those_not_calibrated_on(default: PhotoSet) -> None:
    held_out = {photo.path for photo in held_out_set().photos}
    calibrated = {photo.path for photo in calibration_set().photos}
    assert held_out
    assert not held_out & calibrated
    assert held_out | calibrated == {photo.path for photo in default.photos}


def test_default_set_is_small_and_holds_nothing_else(default: PhotoSet) -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) <= 3 * 2**20
    listed = {photo.path.name for photo in default.photos} | {"instances.json", "README.md"}
    assert {file.name for file in DEFAULT.iterdir()} == listed


def test_default_set_is_varied(default: PhotoSet) -> None:
    sizes = [size_of(photo) for photo in default.photos]
    ratios = [width / height for width, height in sizes]
    assert sum(ratio < 0.8 for ratio in ratios) >= 3
    assert any(0.95 < ratio < 1.05 for ratio in ratios)
    assert max(ratios) > 1.8
    large = [sum(i.area >= 32 * 32 for i in photo.instances) for photo in default.photos]
    assert sum(count >= 3 for count in large) >= 12
    areas = [i.area for photo in default.photos for i in photo.instances]
    assert min(areas) < 32 * 32 < 96 * 96 < max(areas)


def test_first_photo_shows_a_rounding_mistake(default: PhotoSet) -> None:
    """Golden vectors are made from this photo."""
    width, height = size_of(default.photos[0])
    assert height > width
    assert 1024 * width / height % 1 >= 0.5


def test_default_masks_are_where_their_boxes_are(default: PhotoSet) -> None:
    """The whole set decodes without pycocotools, which devices lack."""
    for photo in default.photos:
        width, height = size_of(photo)
        for instance in photo.instances:
            mask = instance_mask(instance, height, width)
            assert mask.shape == (height, width)
            rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
            left, top, right, bottom = instance.box
            assert left - 1.5 <= columns[0] <= columns[-1] <= right + 0.5
            assert top - 1.5 <= rows[0] <= rows[-1] <= bottom + 0.5
            assert mask.sum() == pytest.approx(instance.area, rel=0.1, abs=30)


def test_attribution_table_names_every_photo(default: PhotoSet) -> None:
    readme = (DEFAULT / "README.md").read_text()
    assert "COCO Consortium" in readme
    for photo in default.photos:
        row = next(line for line in readme.splitlines() if photo.path.name in line)
        assert photo.attribution is not None
        assert photo.attribution in row
        number = re.search(r"/(\d+)_", photo.attribution)
        assert number is not None
        assert f"https://www.flickr.com/photo.gne?id={number[1]}" in row
        assert "CC BY 2.0" in row


@pytest.mark.parametrize("name", ["000000377575.jpg", "instances.json"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_set_is_refused(copied: Path, name: str, damage: str) -> None:
    file = copied / "default" / name
    if damage == "changed":
        file.write_bytes(file.read_bytes() + b"\n")
    else:
        file.unlink()
    with pytest.raises(BadInput, match=rf"default/{name}: is missing or was changed"):
        image_set()


def test_invalid_table(copied: Path) -> None:
    table = copied / "default.toml"
    table.write_text(table.read_text() + "\n[extra]\n")
    with pytest.raises(BadInput, match=r"default\.toml: extra: unknown key"):
        image_set()


def test_half_of_the_default_set_is_calibrated_on(default: PhotoSet) -> None:
    half = calibration_set()
    assert half == image_set("half") == calibration_set("half")
    assert half.photos == default.photos[::2]


def test_a_set_may_be_a_folder_or_a_coco_file(copied: Path) -> None:
    table = copied / "own.toml"
    table.write_text('name = "own"\npath = "default"\ntake = 4\n')
    assert [photo.instances for photo in image_set("own").photos] == [()] * 4
    table.write_text('name = "own"\npath = "default/instances.json"\ntake = 4\n')
    assert all(photo.instances for photo in image_set("own").photos)
    assert len(image_set("own").photos) == 4


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('set = "default"\ntake = 17', "asks for 17 photos and has 16"),
        ('path = "nowhere"', "no such file or folder"),
        ('set = "defualt"', "did you mean default"),
        ('set = "default"\ntake = 0', "take: must be at least 1"),
        ('set = "default"\npath = "default"', "exactly one of photos, set and path"),
        ("take = 3", "one of photos, set and path"),
        ('set = "own"', "names the table itself"),
    ],
)
def test_contradictory_table(copied: Path, lines: str, problem: str) -> None:
    (copied / "own.toml").write_text(f'name = "own"\n{lines}\n')
    with pytest.raises(BadInput, match=problem):
        calibration_set("own")


def test_calibrating_on_own_photos(tmp_path: Path) -> None:
    for index in range(100):
        (tmp_path / f"{index:03}.jpg").write_bytes(b"")
    found = calibration_set(str(tmp_path))
    assert len(found.photos) == 64
    assert found.photos[0].id == "000.jpg"
    assert found.photos[-1].id == "098.jpg"
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no photos in"):
        calibration_set(str(tmp_path / "empty"))
    with pytest.raises(UnknownName, match="did you mean half"):
        calibration_set("halv")
    with pytest.raises(BadInput, match="no such file or folder"):
        calibration_set("somewhere/else")


def test_unknown_set() -> None:
    with pytest.raises(UnknownName, match="did you mean default"):
        image_set("defualt")


def test_photos_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.webp", "d.avif", "notes.txt", ".hidden.png", "._b.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    found = photos_from(tmp_path)
    assert [photo.id for photo in found.photos] == ["a.png", "b.JPG", "c.webp", "d.avif"]
    assert found.photos[0].path == tmp_path / "a.png"
    assert found.photos[0].instances == ()


def test_photos_of_subfolders(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.gif", "a/d/e.HEIC", ".thumbs/f.jpg", "__MACOSX/g.jpg", "a/h.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = photos_from(tmp_path).photos
    assert [photo.id for photo in found] == ["a/c.gif", "a/d/e.HEIC", "b.jpg"]
    assert found[1].path == tmp_path / "a" / "d" / "e.HEIC"


def test_single_photo(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"")
    assert [photo.path for photo in photos_from(tmp_path / "photo").photos] == [tmp_path / "photo"]


def test_no_photos(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"no photos in {tmp_path}"):
        photos_from(tmp_path)
    with pytest.raises(BadInput, match="no such file or folder"):
        photos_from(tmp_path / "gone")
    with pytest.raises(BadInput, match="cannot be read"):
        photos_from(tmp_path / ("n" * 300))


def test_default_annotations_are_coco(default: PhotoSet) -> None:
    """The set reads like a user's own COCO file, in any order."""
    found = photos_from(DEFAULT / "instances.json")
    assert {photo.id: photo for photo in found.photos} == {
        photo.id: photo for photo in default.photos
    }
    document = json.loads((DEFAULT / "instances.json").read_text())
    assert not any(annotation["iscrowd"] for annotation in document["annotations"])
    assert {image["license"] for image in document["images"]} == {4}
