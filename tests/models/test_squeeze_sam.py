"""SqueezeSAM's network at a toy size: its norm, its U-Net's sizes, and the mask that is ignored."""

from __future__ import annotations

import pytest
import torch

from edgekit.models.encoders.squeeze_sam import DoubleSize, MapNorm, SqueezeSam, SqueezeSamSize


@pytest.fixture
def network() -> SqueezeSam:
    torch.manual_seed(0)
    return SqueezeSam(SqueezeSamSize(patch=8, widths=(8, 8, 16))).eval()


def test_means_of_rows_give_the_group_norm() -> None:
    torch.manual_seed(0)
    ours, theirs = MapNorm(6), torch.nn.GroupNorm(1, 6)
    torch.nn.init.normal_(ours.weight)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    x = 3 * torch.randn(2, 6, 10, 12) + 1
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_pixel_becomes_four_pixels_of_half_the_channels() -> None:
    double = DoubleSize(4).eval()
    x = torch.randn(1, 4, 3, 5)
    with torch.inference_mode():
        doubled = double(x)
        pixel = torch.relu(double.upsampler_linear[0](x[0, :, 1, 2]))
    assert doubled.shape == (1, 2, 6, 10)
    torch.testing.assert_close(doubled[0, :, 2:4, 4:6].flatten(), pixel, rtol=1e-4, atol=1e-5)


def test_three_masks_at_half_the_images_size(network: SqueezeSam) -> None:
    with torch.inference_mode():
        masks, scores = network(torch.randn(1, 5, 64, 64))
    assert (masks.shape, scores.shape) == ((1, 3, 32, 32), (1, 3))


def test_the_first_mask_is_not_computed(network: SqueezeSam) -> None:
    image = torch.randn(1, 5, 64, 64)
    with torch.inference_mode():
        masks, _ = network(image)
        for parameter in network.mask_decoder.output_hypernetworks_mlps[0].parameters():
            parameter.fill_(torch.nan)
        again, _ = network(image)
    torch.testing.assert_close(again, masks)
