"""Masks at the photo's size, compared with PyTorch's interpolation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.records import ClientContract, FloatArray
from edgekit.runtime.postprocess import masks_from_logits, upscale_logits
from edgekit.runtime.preprocess import resized_size
from edgekit.runtime.resampling import bands_of, bicubic, bilinear

torch: Any = pytest.importorskip("torch")

SIZES = [(428, 640), (640, 428), (768, 1024), (1024, 1024), (100, 37), (1500, 2000), (3, 700)]


@pytest.fixture
def logits() -> FloatArray:
    return np.random.default_rng(3).normal(scale=5, size=(2, 256, 256)).astype(np.float32)


def interpolated(maps: Any, size: tuple[int, int]) -> Any:
    return torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def upstream(logits: FloatArray, size: tuple[int, int], client: ClientContract) -> Any:
    """The chain of interpolations in the family's own predictor."""
    maps = torch.from_numpy(logits)[:, None]
    height, width = size
    if client.masks.upscale == "straight":
        longest = max(size)
        crop = int(256 * height / longest), int(256 * width / longest)
    else:
        maps = interpolated(maps, (1024, 1024))
        crop = resized_size(height, width, client.preprocessing)
    return interpolated(maps[..., : crop[0], : crop[1]], size)[:, 0].numpy()


@pytest.mark.parametrize("size", SIZES)
def test_equal_to_torch(size: tuple[int, int], logits: FloatArray, client: ClientContract) -> None:
    ours = upscale_logits(logits, size, client)
    theirs = upstream(logits, size, client)
    assert ours.dtype == np.float32
    assert ours.shape == (2, *size)
    assert np.abs(ours - theirs).max() <= 1e-5 * np.ptp(logits)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [128, 256])
@pytest.mark.parametrize("size", [(428, 640), (100, 37)])
def test_squashed_frame_is_resized_directly(
    resample: str, side: int, size: tuple[int, int], logits: FloatArray, sam: ClientContract
) -> None:
    rule = replace(sam.masks, upscale="squashed", resample=resample, side=side)
    low_res = np.ascontiguousarray(logits[:, :side, :side])
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(low_res)[None], size, mode=resample, align_corners=False
    )
    ours = upscale_logits(low_res, size, replace(sam, masks=rule))
    assert np.abs(ours - theirs[0].numpy()).max() <= 1e-5 * np.ptp(logits)


def test_masks_are_enlarged_to_the_prompts_frame(logits: FloatArray, sam: ClientContract) -> None:
    """EfficientViT-SAM L: the encoder's frame is 512 pixels, but masks still go through 1024."""
    small = replace(
        sam,
        preprocessing=replace(sam.preprocessing, frame=512),
        prompts=replace(sam.prompts, frame=1024),
    )
    size = (428, 640)
    assert np.array_equal(upscale_logits(logits, size, small), upscale_logits(logits, size, sam))


def test_threshold_can_count_as_inside(sam: ClientContract) -> None:
    rule = replace(sam.masks, inside="at_or_above")
    zeros = np.zeros((256, 256), np.float32)
    assert masks_from_logits(zeros, (50, 60), replace(sam, masks=rule)).all()


def test_masks_are_the_logits_above_the_threshold(
    logits: FloatArray, client: ClientContract
) -> None:
    masks = masks_from_logits(logits, (428, 640), client)
    assert masks.dtype == np.bool_
    assert np.array_equal(masks, upscale_logits(logits, (428, 640), client) > 0)


def test_zero_logits_are_outside(client: ClientContract) -> None:
    assert not masks_from_logits(np.zeros((256, 256), np.float32), (50, 60), client).any()


@pytest.mark.parametrize("leading", [(), (1,), (2, 3)])
def test_leading_dimensions(leading: tuple[int, ...], client: ClientContract) -> None:
    low_res = np.ones((*leading, 256, 256), dtype=np.float32)
    assert upscale_logits(low_res, (30, 40), client).shape == (*leading, 30, 40)
    assert masks_from_logits(low_res, (30, 40), client).shape == (*leading, 30, 40)


def test_logits_need_not_be_contiguous(logits: FloatArray, client: ClientContract) -> None:
    turned = logits.transpose(0, 2, 1)
    expected = upscale_logits(np.ascontiguousarray(turned), (30, 40), client)
    assert np.array_equal(upscale_logits(turned, (30, 40), client), expected)


@pytest.mark.parametrize("interpolation", [bilinear, bicubic])
@pytest.mark.parametrize(("source", "size"), [(256, 1024), (256, 100), (685, 428), (1, 7), (5, 5)])
def test_bands_hold_the_whole_matrix(interpolation: Any, source: int, size: int) -> None:
    matrix = interpolation(source, size)
    rebuilt = np.zeros_like(matrix)
    for band in bands_of(matrix):
        rebuilt[band.rows, band.source] = band.weights
    assert np.allclose(rebuilt, matrix, atol=1e-7)
    assert np.allclose(matrix.sum(axis=1), 1)
