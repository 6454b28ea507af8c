import numpy as np
import pytest

from edgekit.verification.interior import interior_pixel


def mask(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def chessboard_depth(shape: np.ndarray, x: int, y: int) -> int:
    """By definition: distance to the nearest pixel that is not in the mask."""
    padded = np.pad(shape, 1)
    rows, columns = np.nonzero(~padded)
    return int(np.maximum(abs(rows - y - 1), abs(columns - x - 1)).min())


def test_nothing_in_an_empty_mask():
    assert interior_pixel(np.zeros((4, 5), bool)) is None


def test_the_only_pixel():
    assert interior_pixel(mask("...", "..#", "...")) == (2, 1)


def test_a_full_mask_gives_its_centre():
    assert interior_pixel(np.ones((7, 11), bool)) == (5, 3)


def test_the_thick_end_wins_over_the_long_thin_one():
    assert interior_pixel(mask("###......", "#########", "###......")) == (1, 1)


def test_the_border_of_the_photo_is_an_edge():
    assert interior_pixel(mask("#####", "#####", "#####", ".....")) == (2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_no_pixel_lies_deeper(seed: int):
    shape = np.random.default_rng(seed).random((23, 31)) < 0.85
    x, y = interior_pixel(shape)
    deepest = max(
        chessboard_depth(shape, column, row) for row, column in zip(*np.nonzero(shape), strict=True)
    )
    assert shape[y, x]
    assert chessboard_depth(shape, x, y) == deepest
