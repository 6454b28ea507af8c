"""Reductions, and operators that divide by them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.emulation.mil.operands import Operands

_EPSILON = 1e-5


def softmax(given: Operands) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`."""
    return given.tensor("x").softmax(given.integer("axis", -1))


def layer_norm(given: Operands) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axes`, times `gamma` plus `beta`.

    `gamma` and `beta` have the sizes of `axes`, which may lie anywhere.
    """
    x = given.tensor("x")
    axes = sorted(axis % x.ndim for axis in given.integers("axes", list(range(x.ndim))))
    epsilon = given.number("epsilon", _EPSILON)
    if axes == list(range(axes[0], x.ndim)):  # the last axes: torch's own layer norm is faster
        gamma, beta = given.optional("gamma"), given.optional("beta")
        return F.layer_norm(x, x.shape[axes[0] :], gamma, beta, epsilon)
    normal = _normalised(x, axes, epsilon)
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return _scaled(normal, given, shape)


def instance_norm(given: Operands) -> Tensor:
    """As `layer_norm` over the spatial axes of [N, C, *D]; `gamma` and `beta` per channel."""
    x = given.tensor("x")
    normal = _normalised(x, list(range(2, x.ndim)), given.number("epsilon", _EPSILON))
    return _scaled(normal, given, [1, -1] + [1] * (x.ndim - 2))


def batch_norm(given: Operands) -> Tensor:
    """Normalise by constant `mean` and `variance` per channel (axis 1)."""
    return F.batch_norm(
        given.tensor("x"),
        given.tensor("mean"),
        given.tensor("variance"),
        given.optional("gamma"),
        given.optional("beta"),
        eps=given.number("epsilon", _EPSILON),
    )


def l2_norm(given: Operands) -> Tensor:
    """x / sqrt(sum(x^2) + epsilon) over the last three axes."""
    x = given.tensor("x")
    squares = x.square().sum(dim=(-3, -2, -1), keepdim=True)
    return x / torch.sqrt(squares + given.number("epsilon", 1e-6))


def _normalised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon)


def _scaled(normal: Tensor, given: Operands, shape: list[int]) -> Tensor:
    gamma, beta = given.optional("gamma"), given.optional("beta")
    scaled = normal if gamma is None else normal * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)


def reduction(function: Callable[..., Tensor]) -> Callable[[Operands], Tensor]:
    """A reduction of `x` over `axes` (default: all); `keep_dims` keeps them with size 1."""

    def reduced(given: Operands) -> Tensor:
        x = given.tensor("x")
        axes = given.integers("axes", list(range(x.ndim)))
        return function(x, axes, keepdim=given.flag("keep_dims"))

    return reduced


def reduce_argmax(given: Operands) -> Tensor:
    """The index of the largest element along `axis`; the first of equal ones."""
    x = given.tensor("x")
    return x.argmax(given.integer("axis", -1), keepdim=given.flag("keep_dims")).int()


NORMALISATION: dict[str, Callable[[Operands], Tensor]] = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "reduce_argmax": reduce_argmax,
    "reduce_l2_norm": reduction(
        lambda x, axes, **kept: torch.linalg.vector_norm(x, 2, axes, **kept)
    ),
    "reduce_max": reduction(torch.amax),
    "reduce_mean": reduction(torch.mean),
    "reduce_min": reduction(torch.amin),
    "reduce_sum": reduction(torch.sum),
    "softmax": softmax,
}
