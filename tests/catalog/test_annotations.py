"""A COCO file is untrusted input."""

from __future__ import annotations

import re
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
    assert beside.instances == (
        Instance(box=(2, 1, 6, 5), segmentation=square, area=16, category="1"),
    )
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
        annotated(iscrowd=True),
        annotated(segmentation=None, bbox=None),
        annotated(segmentation=[[1.0, 2.0, 3.0, 4.0]]),
        annotated(segmentation={"size": [8, 10], "counts": [80]}, bbox=None),
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


def test_three_missing_photos_are_named_and_the_others_counted(coco: Coco) -> None:
    def change(document: dict[str, Any]) -> None:
        document["images"] = [{"id": n, "file_name": f"gone{n}.png"} for n in range(12)]

    with pytest.raises(BadInput) as caught:
        photos_from(coco(change))
    assert re.search(r"gone0\.png.*gone1\.png.*gone2\.png.*and 9 more$", caught.value.what)
    assert "gone3" not in caught.value.what
    assert "--photos" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("change", "located"),
    [
        (lambda d: d.pop("images"), "images: missing"),
        (lambda d: d.update(images={}), "images: expected a list"),
        (lambda d: d.update(images=[3]), "images.0: expected an object"),
        (lambda d: d["images"][1].update(id=None), "images.1.id: "),
        (lambda d: d["images"][1].update(id=[2]), "images.1.id: "),
        (lambda d: d["images"][1].update(id=1.0), "image id 1 is listed twice"),
        (lambda d: d["images"][1].pop("file_name"), "images.1.file_name: missing"),
        (lambda d: d.update(annotations="none"), "annotations: expected a list"),
        (annotated(image_id=None), "annotations.0.image_id: "),
        (annotated(image_id=True), "annotations.0.image_id: "),
        (annotated(iscrowd="no"), "annotations.0.iscrowd: expected 0 or 1"),
        (annotated(bbox=[1.0, 2.0, 3.0]), "annotations.0.bbox: expected four numbers"),
        (annotated(bbox=[1.0, 2.0, float("nan"), 4.0]), "annotations.0.bbox: "),
        (annotated(bbox={"x": 1}), "annotations.0.bbox: "),
        (annotated(area="large"), "annotations.0.area: "),
        (annotated(segmentation=[[1.0, 2.0, 3.0, 4.0, 5.0, float("inf")]]), "annotations.0.seg"),
        (annotated(segmentation=[[1, 2, 3, 4, 5, 10**400]]), "annotations.0.segmentation"),
        (annotated(segmentation={"size": [8, 10]}), "annotations.0.segmentation"),
        (annotated(segmentation={"size": [8], "counts": [80]}), "annotations.0.segmentation"),
        (annotated(segmentation={"size": [8, 10], "counts": [0.5]}), "annotations.0.segmentation"),
        (
            annotated(segmentation={"size": [8, 10], "counts": "~"}, bbox=None),
            "annotations.0.segmentation",
        ),
        (annotated(segmentation="all"), "annotations.0.segmentation"),
        (annotated(segmentation=[["1", "2"]]), "annotations.0.segmentation"),
        (annotated(segmentation=[[1, 2], 3, [4, 5]]), "annotations.0.segmentation"),
    ],
)
def test_each_mistake_is_located_in_one_sentence(coco: Coco, change: Change, located: str) -> None:
    with pytest.raises(BadInput) as caught:
        photos_from(coco(change))
    assert located in caught.value.what
    assert "\n" not in caught.value.what
    assert "tuple" not in caught.value.what
    assert "_Annotation" not in caught.value.what


def test_three_mistakes_are_shown_and_the_others_counted(coco: Coco) -> None:
    def change(document: dict[str, Any]) -> None:
        document["annotations"] = [{"image_id": 1, "bbox": "wide"}] * 7

    with pytest.raises(BadInput, match=r"and 4 more\n") as caught:
        photos_from(coco(change))
    assert caught.value.what.count("bbox") == 3


def test_a_list_is_not_coco(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('[{"image_id": 1}]')
    with pytest.raises(BadInput, match="a list; COCO has an object with `images`"):
        photos_from(tmp_path / "results.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_is_read(coco: Coco, encoding: str) -> None:
    path = coco(unchanged)
    text = path.read_text()
    mark = "\ufeff" if encoding.endswith("e") else ""
    path.write_bytes((mark + text).encode(encoding))
    assert photos_from(path).photos[0].instances


def test_a_wrong_byte_order_mark_is_refused(coco: Coco) -> None:
    path = coco(unchanged)
    path.write_bytes(b"\xff\xfe" + path.read_bytes() + b"\n\x00\xd8")
    with pytest.raises(BadInput, match="not UTF-16, although"):
        photos_from(path)


@pytest.mark.parametrize(
    ("image_id", "annotation_id"), [(1, 1.0), ("1", "1"), (1.0, 1), ("1", 1), ("a", "a"), (0, -0.0)]
)
def test_ids_are_numbers_or_text(coco: Coco, image_id: object, annotation_id: object) -> None:
    def change(document: dict[str, Any]) -> None:
        document["images"][0]["id"] = image_id
        document["annotations"][0]["image_id"] = annotation_id

    assert photos_from(coco(change)).photos[0].instances


@pytest.mark.parametrize(
    "change",
    [
        annotated(iscrowd=False),
        annotated(iscrowd=0.0),
        annotated(iscrowd=None),
        annotated(area=None),
        annotated(area=0),
        annotated(bbox=None),
        annotated(bbox=[]),
        annotated(segmentation=[2, 1, 6, 1, 6, 5, 2, 5]),
        annotated(segmentation=[[2, 1], [6, 1], [6, 5], [2, 5]]),
        annotated(segmentation=[[[2, 1], [6, 1], [6, 5], [2, 5]]]),
        lambda d: d["annotations"][0].pop("area"),
        lambda d: d["annotations"][0].pop("iscrowd"),
    ],
)
def test_loose_forms_of_one_square(coco: Coco, change: Change) -> None:
    square = ((2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0),)
    expected = Instance(box=(2, 1, 6, 5), segmentation=square, area=16, category="1")
    assert photos_from(coco(change)).photos[0].instances == (expected,)


def test_box_and_area_of_run_lengths_are_computed(coco: Coco) -> None:
    runs = {"size": [8, 10], "counts": [17, 4, 4, 4, 51]}  # rows 1 to 4 of columns 2 and 3
    instance = photos_from(coco(annotated(segmentation=runs, bbox=None, area=None))).photos[0]
    assert (instance.instances[0].box, instance.instances[0].area) == ((2, 1, 4, 5), 8)


@pytest.mark.parametrize(
    ("counts", "box"),
    [
        ([17, 4, 59], (2, 1, 3, 5)),
        ([17, 4, 4, 4, 51], (2, 1, 4, 5)),
        ([17, 8, 55], (2, 0, 4, 8)),
        ([0, 80], (0, 0, 10, 8)),
        ([0, 1, 78, 1], (0, 0, 10, 8)),
    ],
)
def test_a_box_around_run_lengths(coco: Coco, counts: list[int], box: tuple[float, ...]) -> None:
    runs = {"size": [8, 10], "counts": counts}
    photo = photos_from(coco(annotated(segmentation=runs, bbox=None))).photos[0]
    assert photo.instances[0].box == box


def test_run_lengths_of_an_absurd_size_are_refused_at_once(coco: Coco) -> None:
    runs = {"size": [10**9, 10**9], "counts": [0, 10**18]}
    with pytest.raises(BadInput, match="is annotated at 1000000000x1000000000"):
        photos_from(coco(annotated(segmentation=runs, bbox=None)))


@pytest.mark.parametrize("segmentation", [None, [], [[]], {}, ...])
def test_boxes_without_masks(coco: Coco, segmentation: object) -> None:
    def change(document: dict[str, Any]) -> None:
        document["annotations"][0]["segmentation"] = segmentation
        if segmentation is ...:
            del document["annotations"][0]["segmentation"]

    (instance,) = photos_from(coco(change)).photos[0].instances
    assert instance == Instance(box=(2, 1, 6, 5), segmentation=None, area=16, category="1")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(licenses=[{"id": "a", "name": None}]),
        lambda d: d.update(licenses=None, info=None),
        lambda d: d.update(licenses={}, info=""),
        lambda d: d["images"][0].update(license="9", flickr_url=None, coco_url=3),
        lambda d: d["images"][0].update(license=["MIT"]),
        lambda d: d["images"][0].update(license=""),
    ],
)
def test_loose_licences_are_passed_over(coco: Coco, change: Change) -> None:
    assert photos_from(coco(change)).photos[0].licence is None


def test_a_licence_in_words_stands_in_place_of_an_id(coco: Coco) -> None:
    path = coco(lambda document: document["images"][0].update(license="CC BY 2.0\x1b" + "." * 999))
    licence = photos_from(path).photos[0].licence
    assert licence is not None
    assert licence.startswith("CC BY 2.0")
    assert licence.isprintable()
    assert len(licence) < 400


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
