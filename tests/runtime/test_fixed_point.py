"""A centred photo's position in the input, and OpenCV's resizing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.models.families.fastsam import CLIENT
from edgekit.runtime.fixed_point import resize
from edgekit.runtime.preprocess import encoder_input, placement

RULE = CLIENT.preprocessing


@pytest.mark.parametrize(("photo", "corner"), [((428, 640), (169, 0)), ((640, 428), (0, 169))])
def test_odd_spare_pixel_is_at_the_right_or_bottom(
    photo: tuple[int, int], corner: tuple[int, int]
) -> None:
    place = placement(photo, RULE)
    assert sorted(place.resized) == [685, 1024]
    assert place.canvas == (1024, 1024)
    assert place.corner == corner


def test_padding_is_grey_around_the_photo() -> None:
    photo = np.zeros((10, 20, 3), dtype=np.uint8)
    photo[..., 1] = 255
    image = encoder_input(photo, replace(RULE, frame=64))
    assert image.shape == (1, 3, 64, 64)
    assert image.dtype == np.float32
    assert np.array_equal(image[0, :, :16], np.full((3, 16, 64), np.float32(114) / 255))
    assert np.allclose(image[0, :, 48:], 114 / 255)
    assert np.array_equal(image[0, :, 16:48].mean(axis=(1, 2)), [0, 1, 0])


def test_enlarging_a_ramp() -> None:
    """Bilinear, half-pixel centres, repeated edges; at most one grey level of rounding."""
    photo = np.repeat((np.arange(8, dtype=np.uint8) * 16)[None, :, None], 8, axis=0).repeat(3, 2)
    row = resize(photo, (32, 32))[5, :, 0].astype(float)
    expected = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7) * 16
    assert np.abs(row - expected).max() <= 1
