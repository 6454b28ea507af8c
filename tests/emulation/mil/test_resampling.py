"""Sampling positions, compared with torch where it has the mode and with Apple's examples."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

X = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("align_corners", [False, True])
def test_upsample_bilinear(run, align_corners: bool) -> None:
    got = run(
        "upsample_bilinear",
        x=X,
        scale_factor_height=2,
        scale_factor_width=3.0,
        align_corners=align_corners,
    )
    expected = F.interpolate(X, size=(10, 21), mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(got, expected)


def test_upsample_bilinear_aligns_corners_by_default(run) -> None:
    got = run("upsample_bilinear", x=[[[0.0, 1.0]]], scale_factor_width=2.5)
    torch.testing.assert_close(got, torch.tensor([[[0, 0.25, 0.5, 0.75, 1]]]))


def test_upsample_bilinear_with_neither_corners_nor_centres(run) -> None:
    got = run(
        "upsample_bilinear",
        x=[[[0.0, 1.0]]],
        scale_factor_width=2,
        align_corners=False,
        half_pixel_centers=False,
    )
    assert got.tolist() == [[[0, 0.5, 1, 1]]]


APPLES = {  # places in [0, 1] for 5 samples of 2: the table in the reference of resize_bilinear
    "UNALIGN_CORNERS": [0, 0.1, 0.5, 0.9, 1],
    "STRICT_ALIGN_CORNERS": [0, 0.25, 0.5, 0.75, 1],
    "ALIGN_CORNERS": [0, 0.25, 0.5, 0.75, 1],
    "DEFAULT": [0, 0.4, 0.8, 1, 1],
    "OFFSET_CORNERS": [0.1, 0.3, 0.5, 0.7, 0.9],
}


@pytest.mark.parametrize("mode", APPLES)
def test_resize_bilinear(run, mode: str) -> None:
    got = run(
        "resize_bilinear",
        x=[[[0.0, 1.0]]],
        target_size_width=5,
        target_size_height=1,
        sampling_mode=mode,
    )
    torch.testing.assert_close(got, torch.tensor([[APPLES[mode]]], dtype=torch.float32))


def test_one_aligned_sample_lies_in_the_middle_unless_strict(run) -> None:
    for mode, expected in (("ALIGN_CORNERS", 0.5), ("STRICT_ALIGN_CORNERS", 0.0)):
        got = run("resize_bilinear", x=[[[0.0, 1.0]]], target_size_width=1, sampling_mode=mode)
        assert got.item() == expected


@pytest.mark.parametrize("align_corners", [False, True])
def test_resample(run, align_corners: bool) -> None:
    places = torch.rand(2, 4, 6, 2, generator=torch.Generator().manual_seed(1)) * 3 - 1.5
    got = run("resample", x=X, coordinates=places, align_corners=align_corners)
    expected = F.grid_sample(X, places, align_corners=align_corners)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("mode", [{"padding_mode": "border"}, {"padding_value": 1.0}])
def test_resample_in_a_mode_that_no_graph_has(run, mode: dict) -> None:
    with pytest.raises(NotImplementedError, match="zeros outside"):
        run("resample", x=X, coordinates=torch.zeros(2, 1, 1, 2), align_corners=False, **mode)


def test_nearest(run) -> None:
    got = run("upsample_nearest_neighbor", x=X, scale_factor_height=2, scale_factor_width=3)
    torch.testing.assert_close(got, F.interpolate(X, size=(10, 21), mode="nearest"))
    got = run("resize_nearest_neighbor", x=X, target_size_height=3, target_size_width=9)
    torch.testing.assert_close(got, F.interpolate(X, size=(3, 9), mode="nearest"))


def test_crop(run) -> None:
    got = run("crop", x=X, crop_height=[1, 0], crop_width=[2, 3])
    torch.testing.assert_close(got, X[..., 1:, 2:4])
