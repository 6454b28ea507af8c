"""Where a photo lies in FastSAM's input, and that its pixels are what they should be."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.letterbox import GREY, letterboxed, placed


def test_upstream_pads_to_the_next_multiple_of_32() -> None:
    place = placed((428, 640), 1024, square=False)
    assert place.resized == (685, 1024)
    assert place.canvas == (704, 1024)
    assert place.corner == (9, 0)  # 19 spare rows: 9 above, 10 below


@pytest.mark.parametrize(("photo", "corner"), [((428, 640), (169, 0)), ((640, 428), (0, 169))])
def test_a_fixed_graph_needs_the_square(photo: tuple[int, int], corner: tuple[int, int]) -> None:
    place = placed(photo, 1024, square=True)
    assert place.canvas == (1024, 1024)
    assert place.corner == corner


def test_padding_is_grey_and_the_photo_is_in_its_place() -> None:
    photo = np.zeros((10, 20, 3), dtype=np.uint8)
    photo[..., 1] = 255
    image = letterboxed(photo, placed((10, 20), 64, square=True))
    assert image.shape == (1, 3, 64, 64)
    assert image.dtype == np.float32
    assert np.allclose(image[0, :, :16], GREY / 255)
    assert np.allclose(image[0, :, 48:], GREY / 255)
    assert np.array_equal(image[0, :, 16:48].mean(axis=(1, 2)), [0, 1, 0])


def test_enlarging_follows_a_ramp() -> None:
    """Bilinear, half-pixel centres, edges repeated; one grey level of rounding at most."""
    photo = np.repeat((np.arange(8, dtype=np.uint8) * 16)[None, :, None], 8, axis=0).repeat(3, 2)
    row = letterboxed(photo, placed((8, 8), 32, square=True))[0, 0, 5] * 255
    expected = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7) * 16
    assert np.abs(row - expected).max() <= 1
