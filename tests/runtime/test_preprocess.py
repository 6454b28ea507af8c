"""Sizes and pixels equal to upstream's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import BadInput
from edgekit.records import ClientContract, Preprocessing, Resampling, Rgb
from edgekit.runtime.preprocess import encoder_input, resized_size


@pytest.mark.parametrize(
    ("size", "rounded", "truncated"),
    [
        ((428, 640), (685, 1024), (684, 1024)),  # the oracle's photo
        ((640, 428), (1024, 685), (1024, 684)),
        ((426, 640), (682, 1024), (681, 1024)),
        ((768, 1024), (768, 1024), (768, 1024)),
        ((100, 100), (1024, 1024), (1024, 1024)),
        ((3000, 4000), (768, 1024), (768, 1024)),
        ((4, 1024), (4, 1024), (4, 1024)),
    ],
)
def test_resized_size(
    size: tuple[int, int],
    rounded: tuple[int, int],
    truncated: tuple[int, int],
    sam: ClientContract,
    nanosam: ClientContract,
) -> None:
    assert resized_size(*size, sam.preprocessing) == rounded
    assert resized_size(*size, nanosam.preprocessing) == truncated


def test_input_is_resized_normalised_and_padded(photo: Rgb, client: ClientContract) -> None:
    image = encoder_input(photo, client.preprocessing)
    rule = client.preprocessing
    resized = Image.fromarray(photo).resize((1024, 768), Image.Resampling[rule.resample.upper()])
    expected = (np.float32(resized) - np.float32(rule.mean)) / np.float32(rule.std)
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 1024, 1024)
    assert np.array_equal(image[0, :, :768].transpose(1, 2, 0), expected)
    assert not image[0, :, 768:].any()


def test_portrait_is_padded_at_the_right(photo: Rgb, client: ClientContract) -> None:
    image = encoder_input(np.ascontiguousarray(np.rot90(photo)), client.preprocessing)
    assert not image[..., 768:].any()
    assert image[..., 1023, :768].any()


def squashed(client: ClientContract, resample: Resampling, frame: int) -> Preprocessing:
    return replace(client.preprocessing, fit="squash", resample=resample, frame=frame)


@pytest.mark.parametrize(
    ("resample", "antialias"), [("float_antialiased", True), ("float_bilinear", False)]
)
@pytest.mark.parametrize("frame", [16, 64])
def test_squashing_equals_torch(
    resample: Resampling, antialias: bool, frame: int, photo: Rgb, sam: ClientContract
) -> None:
    """On floats in 0-1, as in upstream's transforms. 16 reduces the photo, 64 enlarges it."""
    torch = pytest.importorskip("torch")
    rule = squashed(sam, resample, frame)
    unit = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    resized = torch.nn.functional.interpolate(
        unit, (frame, frame), mode="bilinear", align_corners=False, antialias=antialias
    )
    mean, std = (torch.tensor(t).reshape(1, 3, 1, 1) / 255 for t in (rule.mean, rule.std))
    image = encoder_input(photo, rule)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, ((resized - mean) / std).numpy(), atol=2e-5)


def test_enlarging_equals_torch_to_the_bit(photo: Rgb, sam: ClientContract) -> None:
    """One pixel in a thousand may differ, on processors without a fused multiply-add."""
    torch = pytest.importorskip("torch")
    rule = squashed(sam, "float_antialiased", 96)
    unit = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    resized = torch.nn.functional.interpolate(unit, (96, 96), mode="bilinear", antialias=True)
    mean, std = (
        torch.tensor([v / 255 for v in t]).reshape(1, 3, 1, 1) for t in (rule.mean, rule.std)
    )
    differing = encoder_input(photo, rule) != ((resized - mean) / std).numpy()
    assert differing.mean() <= 1e-3


def test_a_squashed_photo_fills_its_frame(sam: ClientContract) -> None:
    assert resized_size(428, 640, squashed(sam, "float_antialiased", 512)) == (512, 512)


def test_another_frame(sam: ClientContract) -> None:
    small = replace(sam.preprocessing, frame=512)
    assert resized_size(428, 640, small) == (342, 512)
    assert resized_size(428, 640, small, frame=1024) == (685, 1024)


def test_photo_that_is_too_narrow(client: ClientContract) -> None:
    with pytest.raises(BadInput, match="too narrow"):
        encoder_input(np.zeros((1, 300, 3), dtype=np.uint8), client.preprocessing)
