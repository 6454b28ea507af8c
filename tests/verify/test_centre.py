"""The two centres of a mask, against exhaustive searches."""

import numpy as np
import pytest

from edgekit.verification.centre import chessboard_centre, euclidean_centre, squared_distance


def brute_force(mask: np.ndarray) -> np.ndarray:
    framed = np.pad(mask, 1)
    outside = np.argwhere(~framed)
    distance = np.zeros(framed.shape, np.int64)
    for place in np.argwhere(framed):
        distance[tuple(place)] = ((outside - place) ** 2).sum(axis=1).min()
    return distance[1:-1, 1:-1]


@pytest.mark.parametrize("density", [0.3, 0.9, 0.995])
def test_distances_are_those_of_an_exhaustive_search(density: float) -> None:
    rng = np.random.default_rng(3)
    for height, width in ((1, 1), (17, 9), (9, 31), (30, 30)):
        mask = rng.random((height, width)) < density
        np.testing.assert_array_equal(squared_distance(mask), brute_force(mask))


def test_the_euclidean_centre_differs_from_the_chessboard_one() -> None:
    # The largest circle fits into the diamond, the largest square into the square beside it.
    rows, columns = np.mgrid[:60, :60]
    mask = np.abs(rows - 25) + np.abs(columns - 20) <= 18
    mask[29:50, 39:60] = True
    assert euclidean_centre(mask) == (20, 25)
    assert chessboard_centre(mask) == (49, 39)


def test_a_hole_and_the_border_are_edges() -> None:
    mask = np.ones((41, 41), bool)
    mask[20, 20] = False
    x, y = euclidean_centre(mask) or (-1, -1)
    assert mask[y, x]
    assert min(x, y, 40 - x, 40 - y) >= 8
    assert np.hypot(x - 20, y - 20) >= 8


def test_an_empty_mask_has_no_centre() -> None:
    assert euclidean_centre(np.zeros((5, 5), bool)) is None
    assert chessboard_centre(np.zeros((4, 5), bool)) is None


def drawn(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def chessboard_distance(shape: np.ndarray, x: int, y: int) -> int:
    """The chessboard distance to the nearest pixel outside the mask, by definition."""
    padded = np.pad(shape, 1)
    rows, columns = np.nonzero(~padded)
    return int(np.maximum(abs(rows - y - 1), abs(columns - x - 1)).min())


def test_the_only_pixel() -> None:
    assert chessboard_centre(drawn("...", "..#", "...")) == (2, 1)


def test_a_full_mask_gives_its_centre() -> None:
    assert chessboard_centre(np.ones((7, 11), bool)) == (5, 3)


def test_the_thick_end_wins_over_the_long_thin_one() -> None:
    assert chessboard_centre(drawn("###......", "#########", "###......")) == (1, 1)


def test_the_border_of_the_photo_is_an_edge() -> None:
    assert chessboard_centre(drawn("#####", "#####", "#####", ".....")) == (2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_no_pixel_has_a_larger_chessboard_distance(seed: int) -> None:
    shape = np.random.default_rng(seed).random((23, 31)) < 0.85
    x, y = chessboard_centre(shape)
    deepest = max(
        chessboard_distance(shape, column, row)
        for row, column in zip(*np.nonzero(shape), strict=True)
    )
    assert shape[y, x]
    assert chessboard_distance(shape, x, y) == deepest
