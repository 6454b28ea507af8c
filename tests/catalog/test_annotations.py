"""A COCO file is untrusted input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.catalog import Instance, RunLengths, photos_from, photos_from_coco
from edgekit.errors import BadInput

Coco = Callable[[Callable[[dict[str, Any]], None]], Path]
Change = Callable[[dict[str, Any]], None]


def unchanged(document: dict[str, Any]) -> None:
    pass


def image_named(name: str) -> Change:
    return lambda document: document["images"][0].update(file_name=name)


def annotated(**changes: Any) -> Change:
    return lambda document: document["annotations"][0].update(changes)


def test_photos_are_read_beside_the_file_and_in_images(coco: Coco) -> None:
    path = coco(unchanged)
    beside, inside = photos_from(path).photos
    assert beside.path == path.parent / "beside.png"
    assert inside.path == path.parent / "images" / "inside.png"
    assert (beside.id, inside.id) == ("beside.png", "inside.png")
    assert (beside.licence, beside.attribution) == ("Attribution (http://by)", "http://flickr/1")
    assert (inside.licence, inside.attribution) == (None, None)


def test_instances_belong_to_their_photo(coco: Coco) -> None:
    beside, inside = photos_from(coco(unchanged)).photos
    square = ((2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0),)
    assert beside.instances == (Instance(box=(2, 1, 6, 5), segmentation=square, area=16),)
    assert inside.instances == ()


@pytest.mark.parametrize(("flag", "thing"), [({}, True), ({"isthing": 0}, False)])
def test_background_regions_are_marked(coco: Coco, flag: dict[str, int], thing: bool) -> None:
    instance = photos_from(coco(annotated(**flag))).photos[0].instances[0]
    assert instance.thing == thing


def test_another_folder_of_photos_is_searched_first(coco: Coco, tmp_path: Path) -> None:
    path = coco(unchanged)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (path.parent / "beside.png").rename(elsewhere / "beside.png")
    beside, inside = photos_from_coco(path, photo_dir=elsewhere).photos
    assert beside.path == elsewhere / "beside.png"
    assert inside.path == path.parent / "images" / "inside.png"


def test_the_licence_of_the_annotations(coco: Coco) -> None:
    assert photos_from(coco(unchanged)).annotations_licence is None
    path = coco(lambda document: document["info"].update(annotations_licence="CC BY 4.0"))
    assert photos_from(path).annotations_licence == "CC BY 4.0"


@pytest.mark.parametrize("counts", [[20, 4, 56], "d04h1"])
def test_run_lengths(coco: Coco, counts: object) -> None:
    path = coco(annotated(segmentation={"size": [8, 10], "counts": counts}))
    expected = tuple(counts) if isinstance(counts, list) else counts
    segmentation = photos_from(path).photos[0].instances[0].segmentation
    assert segmentation == RunLengths(size=(8, 10), counts=expected)


@pytest.mark.parametrize(
    "change",
    [
        annotated(iscrowd=1),
        annotated(segmentation=[]),
        annotated(segmentation=[[1.0, 2.0, 3.0, 4.0]]),
        annotated(segmentation=[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]),
        annotated(bbox=[2.0, 1.0, 0.0, 4.0]),
        annotated(bbox=[2.0, 1.0, 4.0, -4.0]),
        annotated(image_id=99),
    ],
)
def test_annotations_without_pixels_are_left_out(coco: Coco, change: Change) -> None:
    assert [photo.instances for photo in photos_from(coco(change)).photos] == [(), ()]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../outside.png", "leads out of the folder"),
        ("images/../../outside.png", "leads out of the folder"),
        ("..\\outside.png", "leads out of the folder"),
        ("..", "leads out of the folder"),
        ("/etc/hostname", "is not a relative file name"),
        ("C:\\photo.png", "is not a relative file name"),
        ("C:photo.png", "is not a relative file name"),
        ("\\\\server\\share\\photo.png", "is not a relative file name"),
        ("a\0b.png", "is not a relative file name"),
        ("a\x1b[2J.png", "is not a relative file name"),
        ("gone.png", "is missing"),
        ("", "is missing"),
        (".", "is missing"),
        ("n" * 300, "is missing"),
        ("inside.png", "is listed twice"),
    ],
)
def test_unusable_photo_names_are_refused(coco: Coco, name: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        photos_from(coco(image_named(name)))
    assert reason in caught.value.what
    assert repr(name)[:80] in caught.value.what
    assert "\x1b" not in caught.value.what


def test_all_missing_photos_are_named(coco: Coco) -> None:
    def change(document: dict[str, Any]) -> None:
        document["images"] = [{"id": n, "file_name": f"gone{n}.png"} for n in range(3)]

    with pytest.raises(BadInput, match=r"gone0\.png.*gone1\.png.*gone2\.png"):
        photos_from(coco(change))


@pytest.mark.parametrize(
    ("change", "located"),
    [
        (lambda d: d.pop("images"), "images: missing"),
        (lambda d: d.update(images={}), "images: "),
        (lambda d: d["images"][1].update(id="two"), "images.1.id: "),
        (lambda d: d["images"][1].pop("file_name"), "images.1.file_name: missing"),
        (annotated(bbox=[1.0, 2.0, 3.0]), "annotations.0.bbox"),
        (annotated(bbox=[1.0, 2.0, float("nan"), 4.0]), "annotations.0.bbox.2: "),
        (annotated(area="large"), "annotations.0.area: "),
        (annotated(segmentation=[[1.0, 2.0, 3.0, 4.0, 5.0, float("inf")]]), "annotations.0.seg"),
        (annotated(segmentation={"size": [8, 10]}), "annotations.0.segmentation"),
        (annotated(segmentation="all"), "annotations.0.segmentation"),
    ],
)
def test_wrong_types_are_located(coco: Coco, change: Change, located: str) -> None:
    with pytest.raises(BadInput) as caught:
        photos_from(coco(change))
    assert located in caught.value.what


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\x89PNG", b"[" * 100_000])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "instances.json").write_bytes(text)
    with pytest.raises(BadInput, match=r"instances\.json: "):
        photos_from(tmp_path / "instances.json")


def test_a_file_without_photos_is_refused(coco: Coco) -> None:
    with pytest.raises(BadInput, match="lists no photos"):
        photos_from(coco(lambda document: document.update(images=[])))


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "instances.json").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no disk
    with pytest.raises(BadInput, match="larger than"):
        photos_from(tmp_path / "instances.json")
