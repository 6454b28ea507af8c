"""Operators that move elements, on small numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_shape(run) -> None:
    got = run("shape", x=CUBE)
    assert (got.dtype, got.tolist()) == (torch.int32, [2, 3, 4])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([4, 6], (4, 6)),
        ([-1, 8], (3, 8)),
        ([0, 0, 4], (2, 3, 4)),
        ([0, 2, 0, 0], (1, 2, 3, 4)),  # a 0 is counted from the right; beyond the left end it is 1
        ([6, 0], (6, 4)),
    ],
)
def test_reshape(run, asked: list[int], expected: tuple[int, ...]) -> None:
    got = run("reshape", x=CUBE, shape=asked)
    assert got.shape == expected
    assert got.flatten().tolist() == list(range(24))


def test_transpose(run) -> None:
    got = run("transpose", x=CUBE, perm=[2, 0, 1])
    assert got.shape == (4, 2, 3)
    assert got[3, 1, 2] == CUBE[1, 2, 3]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [([0], (1, 2, 3, 4)), ([-1], (2, 3, 4, 1)), ([3, 1], (2, 1, 3, 1, 4)), ([-2], (2, 3, 1, 4))],
)
def test_expand_dims(run, axes: list[int], expected: tuple[int, ...]) -> None:
    assert run("expand_dims", x=CUBE, axes=axes).shape == expected


def test_squeeze(run) -> None:
    x = np.zeros((1, 2, 1, 3))
    assert run("squeeze", x=x, axes=[0]).shape == (2, 1, 3)
    assert run("squeeze", x=x, axes=[0, -2]).shape == (2, 3)
    assert run("squeeze", x=x).shape == (2, 3)


def test_concat(run) -> None:
    a, b = [[1.0, 2.0]], [[3.0, 4.0]]
    assert run("concat", values=(a, b), axis=-1).tolist() == [[1, 2, 3, 4]]
    assert run("concat", values=(a, b), axis=0).tolist() == [[1, 2], [3, 4]]
    assert run("concat", values=(a, b), axis=1, interleave=True).tolist() == [[1, 3, 2, 4]]


def test_pixel_shuffle(run) -> None:
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)
    assert run("pixel_shuffle", x=x, upscale_factor=2).tolist() == [
        [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    ]


def test_stack(run) -> None:
    assert run("stack", values=([1.0, 2.0], [3.0, 4.0]), axis=1).tolist() == [[1, 3], [2, 4]]
    assert run("stack", values=([1.0, 2.0], [3.0, 4.0]), axis=-2).tolist() == [[1, 2], [3, 4]]


def test_split(run) -> None:
    uneven = run("split", x=CUBE, split_sizes=[1, 3], axis=-1)
    assert [part.shape for part in uneven] == [(2, 3, 1), (2, 3, 3)]
    even = run("split", x=CUBE, num_splits=2, axis=0)
    assert [part[0, 0, 0].item() for part in even] == [0, 12]


def test_tile(run) -> None:
    assert run("tile", x=[[1.0, 2.0]], reps=[2, 2]).tolist() == [[1, 2, 1, 2], [1, 2, 1, 2]]


def test_pad_has_the_outermost_axis_first(run) -> None:
    got = run("pad", x=[[1.0]], pad=[1, 0, 0, 2], mode="constant", constant_val=9.0)
    assert got.tolist() == [[9, 9, 9], [1, 9, 9]]


def test_pad_of_the_last_axes_only(run) -> None:
    assert run("pad", x=CUBE, pad=[1, 2]).shape == (2, 3, 7)
    assert run("pad", x=CUBE, pad=[1, 0, 0, 0]).shape == (2, 4, 4)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge")])
@pytest.mark.parametrize(
    "pad", [[1, 2], [2, 1, 0, 3], [0, 0, 1, 0, 2, 1], [0, 0, 0, 0, 2, 1, 1, 3]]
)
def test_pad_that_repeats(run, mode: str, numpy_mode: str, pad: list[int]) -> None:
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    pairs = [(0, 0)] * (4 - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))
    got = run("pad", x=x, pad=pad, mode=mode)
    np.testing.assert_array_equal(got.numpy(), np.pad(x, pairs, mode=numpy_mode))


SLICES = {
    "plain": ({"begin": [0, 1, 1], "end": [1, 3, 3]}, np.s_[0:1, 1:3, 1:3]),
    "stride": ({"begin": [0, 0, 3], "end": [2, 3, 0], "stride": [1, 2, -2]}, np.s_[:, ::2, 3:0:-2]),
    "negative": ({"begin": [-1, -2, 0], "end": [2, 3, -1]}, np.s_[1:2, 1:3, 0:3]),
    "begin mask": (
        {"begin": [1, 2, 3], "end": [2, 3, 2], "begin_mask": [True, False, True]},
        np.s_[:2, 2:3, :2],
    ),
    "end mask": (
        {"begin": [1, 2, 3], "end": [0, 0, 0], "end_mask": [True, True, True]},
        np.s_[1:, 2:, 3:],
    ),
    "squeeze mask": (
        {
            "begin": [1, 0, -1],
            "end": [9, 0, 0],
            "end_mask": [False, True, False],
            "squeeze_mask": [True, False, True],
        },
        np.s_[1, :, 3],
    ),
    "backwards to the first": (
        {
            "begin": [0, 0, 3],
            "end": [2, 3, 0],
            "stride": [1, 1, -1],
            "end_mask": [False] * 2 + [True],
        },
        np.s_[:, :, ::-1],
    ),
}


@pytest.mark.parametrize(("given", "index"), SLICES.values(), ids=SLICES)
def test_slice_by_index(run, given, index) -> None:
    np.testing.assert_array_equal(run("slice_by_index", x=CUBE, **given).numpy(), CUBE[index])


def test_slice_by_size(run) -> None:
    got = run("slice_by_size", x=CUBE, begin=[0, 1, 2], size=[1, 2, -1])
    np.testing.assert_array_equal(got.numpy(), CUBE[:1, 1:, 2:])


def test_gather_puts_the_axes_of_indices_in_place_of_its_own(run) -> None:
    got = run("gather", x=CUBE, indices=[[0, 2], [1, 1]], axis=1)
    np.testing.assert_array_equal(got.numpy(), np.take(CUBE, [[0, 2], [1, 1]], axis=1))


def test_gather_counts_negative_indices_from_the_end(run) -> None:
    np.testing.assert_array_equal(run("gather", x=CUBE, indices=-1, axis=-1), CUBE[..., -1])


def test_gather_by_batches(run) -> None:
    got = run("gather", x=CUBE, indices=[[0], [2]], axis=1, batch_dims=1)
    np.testing.assert_array_equal(got.numpy(), np.stack([CUBE[0, [0]], CUBE[1, [2]]]))


def test_gather_along_axis(run) -> None:
    indices = np.array([[[2], [0]], [[1], [1]]])
    got = run("gather_along_axis", x=CUBE[..., :1], indices=indices, axis=1)
    np.testing.assert_array_equal(got.numpy(), np.take_along_axis(CUBE[..., :1], indices, axis=1))


def test_fill(run) -> None:
    assert run("fill", shape=[2, 1], value=3.0).tolist() == [[3], [3]]
    assert run("fill", shape=[2]).tolist() == [0, 0]
