"""Average recall against cases worked out by hand, and against pycocotools over all photos."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgekit.records import RunLengths, mask_from_runs, runs_from_mask
from edgekit.runtime.segments import rle_from
from edgekit.verification.coco_measure import Region
from edgekit.verification.recall import LIMITS, Found, average_recall, found_in

SIZE = (120, 200)


def rectangle(left: int, top: int, width: int, height: int, *, score: float = 0.5) -> Region:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return Region(rle=rle_from(runs_from_mask(mask)), area=width * height, score=score)


def found(proposals: list[Region], truth: list[Region]) -> Found:
    return found_in(proposals, truth, size=SIZE)


OBJECT = rectangle(10, 10, 50, 40)  # 2000 pixels: medium
SPECK = rectangle(150, 5, 20, 20)  # small
BACKDROP = rectangle(0, 0, 200, 100)  # large


@pytest.mark.parametrize(
    ("proposals", "recall"),
    [
        pytest.param([], 0.0, id="nothing proposed"),
        pytest.param([OBJECT], 1.0, id="exact"),
        pytest.param([rectangle(10, 10, 50, 31)], 0.6, id="IoU 0.775: at 0.5 ... 0.75, six of ten"),
        pytest.param([rectangle(10, 10, 50, 20)], 0.1, id="IoU 0.5: at 0.5 alone"),
        pytest.param([rectangle(10, 10, 50, 19)], 0.0, id="IoU 0.475"),
        pytest.param([rectangle(10, 10, 50, 20), OBJECT], 1.0, id="the better one counts"),
    ],
)
def test_the_recall_of_one_object(proposals: list[Region], recall: float) -> None:
    everything, medium = average_recall([found(proposals, [OBJECT])])
    assert (everything.size, medium.size) == ("all", "medium")
    assert everything.instances == medium.instances == 1
    assert everything.recall == medium.recall == pytest.approx(dict.fromkeys(LIMITS, recall))


def test_each_size_class_has_its_own_recall() -> None:
    rows = average_recall([found([OBJECT, SPECK], [OBJECT, SPECK, BACKDROP])])
    assert [(row.size, row.instances) for row in rows] == [
        ("all", 3),
        ("small", 1),
        ("medium", 1),
        ("large", 1),
    ]
    assert [row.recall[10] for row in rows] == pytest.approx([2 / 3, 1, 1, 0])


def test_the_best_scores_come_first() -> None:
    noise = [rectangle(5 * index, 100, 4, 4, score=0.9) for index in range(20)]
    row = average_recall([found([*noise, OBJECT], [OBJECT])])[0]
    assert row.recall == {10: 0.0, 100: 1.0, 1000: 1.0}
    best = rectangle(10, 10, 50, 40, score=0.95)
    assert average_recall([found([*noise, best], [OBJECT])])[0].recall[10] == 1.0


def test_the_objects_of_all_photos_count_alike() -> None:
    rows = average_recall([found([], [OBJECT]), found([OBJECT, SPECK], [OBJECT, SPECK])])
    assert rows[0].recall[100] == pytest.approx(2 / 3)
    assert [row.size for row in rows] == ["all", "small", "medium"]


def test_no_photo_gives_no_figure() -> None:
    assert average_recall([]) == ()


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    found([OBJECT], [OBJECT])
    assert capsys.readouterr() == ("", "")


def test_the_photos_together_as_pycocotools_measures_them() -> None:
    """The sum over photos is what COCO's evaluation gives for the whole data set."""
    photos = [_random_photo(seed) for seed in range(4)]
    ours = average_recall([found(proposals, truth) for proposals, truth in photos])
    recall = _recall_of_all(photos)
    for row, size in zip(ours, range(4), strict=True):
        expected = recall[:, 0, size].mean(axis=0)
        assert list(row.recall.values()) == pytest.approx(expected.tolist())
    assert 0 < ours[0].recall[10] < ours[0].recall[100] < 1


def _random_photo(seed: int) -> tuple[list[Region], list[Region]]:
    """Objects of all sizes, and shifted copies of most of them among other rectangles."""
    random = np.random.default_rng(seed)
    truth = [
        rectangle(*random.integers(0, 60, 2).tolist(), side, side) for side in (8, 20, 40, 50, 100)
    ]
    proposals = [
        rectangle(*random.integers(0, 80, 4).tolist(), score=random.random()) for _ in range(20)
    ]
    for region in truth[:-1]:
        rows, columns = np.nonzero(_decode(region))
        left, top = int(columns.min()) + int(random.integers(0, 8)), int(rows.min())
        proposals.append(rectangle(left, top, np.ptp(columns), np.ptp(rows), score=random.random()))
    return proposals, truth


def _decode(region: Region) -> np.ndarray:
    runs = RunLengths(size=SIZE, counts=region.rle["counts"])
    return mask_from_runs(runs, *SIZE)


def _recall_of_all(photos: list[tuple[list[Region], list[Region]]]) -> np.ndarray:
    """Recall [10, 1, 4, 3] of one evaluation over all photos."""
    sides = []
    for side in (1, 0):
        regions = [(index, region) for index, photo in enumerate(photos) for region in photo[side]]
        coco = COCO()
        coco.dataset = {
            "images": [{"id": index, "height": SIZE[0], "width": SIZE[1]} for index in range(4)],
            "categories": [{"id": 1}],
            "annotations": [
                {"id": number, "image_id": index, "category_id": 1, "iscrowd": 0}
                | {"segmentation": region.rle, "area": region.area, "score": region.score}
                for number, (index, region) in enumerate(regions, start=1)
            ],
        }
        coco.createIndex()
        sides.append(coco)
    whole = COCOeval(*sides, "segm")
    whole.params.useCats, whole.params.maxDets = 0, list(LIMITS)
    whole.evaluate()
    whole.accumulate()
    return whole.eval["recall"]
