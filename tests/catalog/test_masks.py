"""Masks from run lengths and polygons, and refusals of damaged ones."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from edgekit.catalog import Instance, RunLengths, instance_mask, runs_from_mask
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import BoolArray, mask_from_runs
from edgekit.records.run_lengths import unpack

Segmentation = tuple[tuple[float, ...], ...] | RunLengths


def mask_of(segmentation: Segmentation, height: int = 8, width: int = 10) -> BoolArray:
    instance = Instance(box=(0, 0, 1, 1), segmentation=segmentation, area=1.0)
    return instance_mask(instance, height, width)


def runs(counts: tuple[int, ...] | str, *, size: tuple[int, int] = (8, 10)) -> RunLengths:
    return RunLengths(size=size, counts=counts)


def test_runs_go_down_the_columns() -> None:
    expected = np.zeros((8, 10), bool)
    expected[4:, 2] = True
    expected[:2, 3] = True
    assert np.array_equal(mask_of(runs((20, 6, 54))), expected)


def test_packed_runs_computed_by_hand() -> None:
    assert unpack("d04h1") == [20, 4, 56]
    assert np.array_equal(mask_of(runs("d04h1")), mask_of(runs((20, 4, 56))))


def test_runs_may_start_or_end_with_ones() -> None:
    assert mask_of(runs((0, 80))).all()
    assert not mask_of(runs((80,))).any()


@pytest.mark.parametrize("seed", range(6))
def test_packed_runs_as_pycocotools_packs_them(seed: int) -> None:
    """Compared with the implementation that defines the format, from noise to large regions."""
    pycocotools = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(seed)
    blocks = random.random((1 + 3 * seed, 2 + 5 * seed)) < 0.5
    mask = np.kron(blocks, np.ones((70 - 10 * seed, 3 + seed), bool)).astype(bool)
    packed = pycocotools.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = mask.shape
    segmentation = runs(packed["counts"].decode(), size=(height, width))
    assert np.array_equal(mask_of(segmentation, height, width), mask)


@pytest.mark.parametrize(
    "counts",
    [
        (),
        (79,),
        (20, 4, 57),
        (80, 2**40),
        (-1, 81),
        "",
        "d0",
        "d04",
        "é",
        "\x00",
        "o" * 50,
        "oooooo",
        "d04h1o",  # the last number does not end
        "d04hQPPPPPPPP0",  # padded with zeros beyond any run length
    ],
)
def test_damaged_runs_are_refused(counts: tuple[int, ...] | str) -> None:
    with pytest.raises(BadInput, match="annotation cannot be used"):
        mask_of(runs(counts))


def test_runs_for_another_photo_size_are_refused() -> None:
    with pytest.raises(BadInput, match="its mask is 8x10 and the photo 10x8"):
        mask_of(runs((80,), size=(10, 8)))


def test_negative_differences_are_unpacked() -> None:
    pycocotools = pytest.importorskip("pycocotools.mask")
    plain = {"size": [10, 10], "counts": [30, 40, 5, 2, 3, 20]}
    packed = pycocotools.frPyObjects(plain, 10, 10)["counts"].decode()
    assert unpack(packed) == plain["counts"]


def test_polygon() -> None:
    pytest.importorskip("pycocotools")
    expected = np.zeros((8, 10), bool)
    expected[1:5, 2:6] = True
    square = (2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0)
    assert np.array_equal(mask_of((square,)), expected)


def test_parts_of_an_instance_are_merged() -> None:
    pytest.importorskip("pycocotools")
    left = (0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0)
    right = (5.0, 5.0, 7.0, 5.0, 7.0, 7.0, 5.0, 7.0)
    assert mask_of((left, right)).sum() == 8


def test_a_polygon_may_end_just_outside_the_photo() -> None:
    pytest.importorskip("pycocotools")
    assert mask_of(((-1.0, -1.0, 11.0, -1.0, 11.0, 9.0, -1.0, 9.0),)).all()


@pytest.mark.parametrize("wild", [float("nan"), float("inf"), 1e12, -1e12])
def test_a_polygon_that_would_crash_pycocotools_is_refused(wild: float) -> None:
    with pytest.raises(BadInput, match="far outside"):
        mask_of(((0.0, 0.0, wild, 0.0, 5.0, 5.0),))


def test_polygons_without_pycocotools_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(RuntimeMissing, match=r"edgekit\[export\]"):
        mask_of(((0.0, 0.0, 5.0, 0.0, 5.0, 5.0),))
    assert not mask_of(runs((80,))).any()


@pytest.mark.parametrize("fill", ["random", "empty", "full", "column"])
def test_masks_become_run_lengths_and_back(fill: str) -> None:
    """The same text as pycocotools, which packs the counts too."""
    mask = np.random.default_rng(3).random((37, 501)) < 0.3
    if fill != "random":
        mask[:] = fill == "full"
        mask[:, 0] = fill in {"full", "column"}
    runs = runs_from_mask(mask)
    coco_mask = pytest.importorskip("pycocotools.mask")
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (list(runs.size), runs.counts) == (packed["size"], packed["counts"].decode())
    np.testing.assert_array_equal(mask_from_runs(runs, 37, 501), mask)


@pytest.mark.parametrize("part", [(slice(0, 9), slice(0, 4)), (slice(3, 37), slice(2, 8))])
def test_a_part_of_a_mask_becomes_run_lengths_of_the_whole(part: tuple[slice, slice]) -> None:
    mask = np.zeros((37, 9), bool)
    mask[part] = np.random.default_rng(3).random((37, 9))[part] < 0.7
    corner = (part[0].start, part[1].start)
    assert runs_from_mask(mask[part], size=mask.shape, corner=corner) == runs_from_mask(mask)
