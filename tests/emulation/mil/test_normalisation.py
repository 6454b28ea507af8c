"""Reductions and normalisation, against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

X = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1


def test_softmax(run) -> None:
    torch.testing.assert_close(run("softmax", x=X, axis=1), X.softmax(1))
    torch.testing.assert_close(run("softmax", x=X), X.softmax(-1))


def test_layer_norm_of_the_last_axes(run) -> None:
    gamma, beta = X[0, 0] * 2, X[1, 1]
    got = run("layer_norm", x=X, axes=[-2, -1], gamma=gamma, beta=beta, epsilon=0.1)
    torch.testing.assert_close(got, F.layer_norm(X, (3, 5), gamma, beta, 0.1))


def test_layer_norm_of_an_axis_inside(run) -> None:
    """Over channels of [N, C, H, W], as the converter fuses SAM's LayerNorm2d."""
    gamma, beta = X[0, :, 0, 0], X[1, :, 0, 0]
    got = run("layer_norm", x=X, axes=[1], gamma=gamma, beta=beta)
    expected = F.layer_norm(X.movedim(1, -1), (4,), gamma, beta).movedim(-1, 1)
    torch.testing.assert_close(got, expected)


def test_layer_norm_of_everything_and_plain(run) -> None:
    torch.testing.assert_close(run("layer_norm", x=X), F.layer_norm(X, X.shape))


def test_instance_norm(run) -> None:
    gamma, beta = X[0, :, 0, 0], X[1, :, 0, 0]
    got = run("instance_norm", x=X, gamma=gamma, beta=beta, epsilon=0.01)
    torch.testing.assert_close(got, F.instance_norm(X, weight=gamma, bias=beta, eps=0.01))


def test_batch_norm(run) -> None:
    mean, variance, gamma, beta = X[0, :, 0, 0], X[0, :, 1, 1].abs(), X[1, :, 0, 0], X[1, :, 1, 0]
    got = run("batch_norm", x=X, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=0.5)
    torch.testing.assert_close(got, F.batch_norm(X, mean, variance, gamma, beta, eps=0.5))


def test_l2_norm(run) -> None:
    got = run("l2_norm", x=[[[3.0, 4.0]], [[0.0, 12.0]]], epsilon=56.0)
    torch.testing.assert_close(got, torch.tensor([[[0.2, 4 / 15]], [[0.0, 0.8]]]))


REDUCTIONS = {
    "reduce_max": torch.amax,
    "reduce_mean": torch.mean,
    "reduce_min": torch.amin,
    "reduce_sum": torch.sum,
}


@pytest.mark.parametrize("operator", REDUCTIONS)
@pytest.mark.parametrize(("axes", "keep"), [([1], True), ([-2, -1], False)])
def test_reductions(run, operator: str, axes: list[int], keep: bool) -> None:
    expected = REDUCTIONS[operator](X, axes, keepdim=keep)
    torch.testing.assert_close(run(operator, x=X, axes=axes, keep_dims=keep), expected)


@pytest.mark.parametrize("operator", REDUCTIONS)
def test_a_reduction_takes_all_axes_by_default(run, operator: str) -> None:
    torch.testing.assert_close(run(operator, x=X), REDUCTIONS[operator](X, (0, 1, 2, 3)))


def test_argmax(run) -> None:
    got = run("reduce_argmax", x=[[1.0, 7.0, 3.0]], axis=-1, keep_dims=True)
    assert (got.dtype, got.tolist()) == (torch.int32, [[1]])
