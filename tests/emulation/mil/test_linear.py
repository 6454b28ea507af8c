"""Convolutions, products and pooling, compared with torch and with numbers by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("strides", "dilations", "groups"), [(1, 1, 1), (2, 1, 4), (1, 2, 2)])
def test_conv(run, strides: int, dilations: int, groups: int) -> None:
    x, weight, bias = _random(2, 4, 9, 7), _random(8, 4 // groups, 3, 2), _random(8)
    got = run(
        "conv",
        x=x,
        weight=weight,
        bias=bias,
        strides=[strides] * 2,
        dilations=[dilations] * 2,
        groups=groups,
        pad_type="custom",
        pad=[1, 1, 2, 2],
    )
    expected = F.conv2d(x, weight, bias, strides, (1, 2), dilations, groups)
    torch.testing.assert_close(got, expected)


def test_custom_padding_is_before_and_after_of_the_outer_axis_first(run) -> None:
    got = run("conv", x=[[[[1.0]]]], weight=[[[[1.0]]]], pad_type="custom", pad=[1, 0, 0, 2])
    assert got.tolist() == [[[[0, 0, 0], [1, 0, 0]]]]


@pytest.mark.parametrize(
    ("pad_type", "expected"),
    [
        ("valid", [3, 5]),
        ("same", [3, 5, 3]),  # the odd one goes to the end
        ("same_lower", [1, 3, 5]),
    ],
)
def test_padding_by_name(run, pad_type: str, expected: list[float]) -> None:
    got = run("conv", x=[[[1.0, 2.0, 3.0]]], weight=[[[1.0, 1.0]]], pad_type=pad_type)
    assert got.tolist() == [[expected]]


@pytest.mark.parametrize(("size", "stride"), [*itertools.product((7, 8), (1, 2, 3))])
def test_same_padding_gives_one_window_per_stride(run, size: int, stride: int) -> None:
    """Windows are centred: a kernel of 3 over ones sums to 2 at a padded end."""
    got = run(
        "conv",
        x=torch.ones(1, 1, size),
        weight=torch.ones(1, 1, 3),
        strides=[stride],
        pad_type="same",
    )
    assert got.shape[-1] == -(-size // stride)
    assert set(got.flatten().tolist()) <= {2.0, 3.0}


def test_conv_of_one_and_three_axes(run) -> None:
    for rank in (1, 3):
        x, weight = _random(1, 2, *[5] * rank), _random(3, 2, *[3] * rank)
        expected = (F.conv1d, None, F.conv3d)[rank - 1](x, weight)
        torch.testing.assert_close(run("conv", x=x, weight=weight, pad_type="valid"), expected)


@pytest.mark.parametrize(("groups", "dilations"), [(1, 1), (2, 2)])
def test_conv_transpose(run, groups: int, dilations: int) -> None:
    x, weight, bias = _random(2, 4, 5, 6), _random(4, 3, 3, 2), _random(3 * groups)
    given = {
        "x": x,
        "weight": weight,
        "bias": bias,
        "strides": [2, 3],
        "groups": groups,
        "dilations": [dilations] * 2,
    }
    whole = F.conv_transpose2d(x, weight, bias, (2, 3), 0, 0, groups, dilations)
    torch.testing.assert_close(run("conv_transpose", **given, pad_type="valid"), whole)
    got = run("conv_transpose", **given, pad_type="custom", pad=[1, 0, 0, 2])
    torch.testing.assert_close(got, whole[:, :, 1:, :-2])


def test_conv_transpose_of_a_given_size(run) -> None:
    """torch's output_padding=1 as the converter writes it: the full size, then the output size."""
    x, weight = _random(1, 2, 4, 4), _random(2, 3, 3, 3)
    got = run(
        "conv_transpose",
        x=x,
        weight=weight,
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 0, 1, 0],
        output_shape=[1, 3, 8, 8],
    )
    expected = F.conv_transpose2d(x, weight, None, 2, 1, 1)
    torch.testing.assert_close(got, expected)


def test_conv_transpose_same_keeps_size_times_stride(run) -> None:
    got = run(
        "conv_transpose", x=[[[1.0, 2.0]]], weight=[[[1.0, 1.0, 1.0]]], strides=[2], pad_type="same"
    )
    assert got.tolist() == [[[1, 1, 3, 2]]]


def test_linear(run) -> None:
    x, weight, bias = _random(2, 5, 3), _random(4, 3), _random(4)
    torch.testing.assert_close(run("linear", x=x, weight=weight, bias=bias), x @ weight.T + bias)


@pytest.mark.parametrize(("swap_x", "swap_y"), [*itertools.product((False, True), repeat=2)])
def test_matmul(run, swap_x: bool, swap_y: bool) -> None:
    x, y = _random(3, 1, 4, 5), _random(2, 5, 6)
    got = run(
        "matmul",
        x=x.mT if swap_x else x,
        y=y.mT if swap_y else y,
        transpose_x=swap_x,
        transpose_y=swap_y,
    )
    torch.testing.assert_close(got, x @ y)


def test_matmul_with_a_vector(run) -> None:
    x, y = _random(4, 5), _random(5)
    torch.testing.assert_close(run("matmul", x=x, y=y, transpose_y=True), x @ y)


def test_attention(run) -> None:
    query, key, value, mask = _random(2, 3, 4), _random(2, 5, 4), _random(2, 5, 6), _random(3, 5)
    got = run("scaled_dot_product_attention", query=query, key=key, value=value, attn_mask=mask)
    expected = (query @ key.mT / 2 + mask).softmax(-1) @ value
    torch.testing.assert_close(got, expected)


def test_max_pool_never_takes_the_padding(run) -> None:
    got = run(
        "max_pool",
        x=[[[-5.0, -3.0, -4.0]]],
        kernel_sizes=[2],
        strides=[2],
        pad_type="custom",
        pad=[1, 0],
    )
    assert got.tolist() == [[[-5, -3]]]


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool(run, ceil_mode: bool) -> None:
    x = _random(1, 2, 8, 7)
    got = run(
        "max_pool",
        x=x,
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
        ceil_mode=ceil_mode,
    )
    torch.testing.assert_close(got, F.max_pool2d(x, 3, 2, 1, ceil_mode=ceil_mode))


@pytest.mark.parametrize("exclude", [False, True])
def test_avg_pool(run, exclude: bool) -> None:
    x = _random(1, 2, 8, 7)
    got = run(
        "avg_pool",
        x=x,
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
        exclude_padding_from_average=exclude,
    )
    torch.testing.assert_close(got, F.avg_pool2d(x, 3, 2, 1, count_include_pad=not exclude))
