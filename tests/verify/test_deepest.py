"""Where the benchmark clicks."""

import numpy as np
import pytest

from edgekit.verification.deepest import deepest_pixel, squared_distance


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
    # A diamond holds a larger circle than the square beside it, which holds the larger square.
    rows, columns = np.mgrid[:60, :60]
    mask = np.abs(rows - 25) + np.abs(columns - 20) <= 18
    mask[30:49, 40:59] = True
    assert deepest_pixel(mask) == (20, 25)


def test_a_hole_and_the_border_are_edges() -> None:
    mask = np.ones((41, 41), bool)
    mask[20, 20] = False
    x, y = deepest_pixel(mask) or (-1, -1)
    assert mask[y, x]
    assert min(x, y, 40 - x, 40 - y) >= 8
    assert np.hypot(x - 20, y - 20) >= 8


def test_an_empty_mask_has_none() -> None:
    assert deepest_pixel(np.zeros((5, 5), bool)) is None
