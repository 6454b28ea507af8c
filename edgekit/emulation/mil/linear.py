"""Convolutions, matrix products and pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.emulation.mil.operands import Operands
from edgekit.emulation.mil.shapes import innermost_first

_CONV = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_CONV_TRANSPOSE = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}
_MAX_POOL = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}
_AVG_POOL = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}


def conv(given: Operands) -> Tensor:
    """Convolution of `x` [N, C, *D] with `weight` [C_out, C / groups, *K]."""
    x, weight = given.tensor("x"), given.tensor("weight")
    spatial = x.ndim - 2
    strides = given.integers("strides", [1] * spatial)
    dilations = given.integers("dilations", [1] * spatial)
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    pads = _padding(given, x.shape[2:], reach, strides)
    around = pads[::2]
    if around != pads[1::2]:  # torch pads both ends by the same amount
        x, around = F.pad(x, innermost_first(pads)), [0] * spatial
    groups, bias = given.integer("groups", 1), given.optional("bias")
    return _CONV[x.ndim](x, weight, bias, strides, around, dilations, groups)


def _padding(
    given: Operands, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[int]:
    """Padding (before, after) per spatial axis for windows of `reach` elements.

    "same" gives ceil(size / stride) windows. An odd element goes after, or before with
    "same_lower".
    """
    kind, none = given.text("pad_type", "valid"), [0] * (2 * len(sizes))
    if kind in {"custom", "valid"}:
        return given.integers("pad", none) if kind == "custom" else none
    pads: list[int] = []
    for size, window, stride in zip(sizes, reach, strides, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
        less, more = total // 2, total - total // 2
        pads += [less, more] if kind == "same" else [more, less]
    return pads


def conv_transpose(given: Operands) -> Tensor:
    """The gradient of a convolution; `weight` is [C, C_out / groups, *K]."""
    x, weight = given.tensor("x"), given.tensor("weight")
    spatial = x.ndim - 2
    strides = given.integers("strides", [1] * spatial)
    dilations = given.integers("dilations", [1] * spatial)
    groups = given.integer("groups", 1)
    whole = _CONV_TRANSPOSE[x.ndim](
        x, weight, given.optional("bias"), strides, 0, 0, groups, dilations
    )
    for axis, (first, size) in enumerate(
        _kept_ranges(given, x.shape[2:], whole.shape[2:], strides), 2
    ):
        whole = whole.narrow(axis, first, size)
    return whole


def _kept_ranges(
    given: Operands, sizes: Sequence[int], whole: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """The part of the full result that is kept: (first, size) per spatial axis.

    Padding removes elements at both ends. "same" keeps size * stride, with an odd element removed
    at the end. `output_shape` decides if several sizes are possible.
    """
    kind = given.text("pad_type", "valid")
    if kind == "same":
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
        return [((full - keep) // 2, keep) for full, keep in zip(whole, wanted, strict=True)]
    pad = (
        given.integers("pad", [0] * (2 * len(sizes))) if kind == "custom" else [0] * 2 * len(sizes)
    )
    kept = [
        (before, full - before - after)
        for full, before, after in zip(whole, pad[::2], pad[1::2], strict=True)
    ]
    if "output_shape" in given:
        asked = given.integers("output_shape")[2:]
        return [(first, size) for (first, _), size in zip(kept, asked, strict=True)]
    return kept


def linear(given: Operands) -> Tensor:
    """x @ weight^T + bias, with `weight` [out, in]."""
    return F.linear(given.tensor("x"), given.tensor("weight"), given.optional("bias"))


def matmul(given: Operands) -> Tensor:
    """Batched product, with the last two axes of either side swapped if requested."""
    x, y = given.tensor("x"), given.tensor("y")
    x = x.mT if given.flag("transpose_x") and x.ndim > 1 else x
    y = y.mT if given.flag("transpose_y") and y.ndim > 1 else y
    return x @ y


def attention(given: Operands) -> Tensor:
    """softmax(query @ key^T / sqrt(width) + mask) @ value."""
    return F.scaled_dot_product_attention(
        given.tensor("query"),
        given.tensor("key"),
        given.tensor("value"),
        attn_mask=given.optional("attn_mask"),
    )


def max_pool(given: Operands) -> Tensor:
    """The largest element of each window; padding is ignored."""
    x = given.tensor("x")
    kernel, strides, pads = _windows(given)
    padded = F.pad(x, innermost_first(pads), value=-math.inf)
    ceil = given.flag("ceil_mode")
    return _MAX_POOL[x.ndim](padded, kernel, strides, ceil_mode=ceil)


def avg_pool(given: Operands) -> Tensor:
    """The mean of each window; padding counts as zeros unless excluded."""
    x = given.tensor("x")
    kernel, strides, pads = _windows(given)
    around = innermost_first(pads)
    ceil = given.flag("ceil_mode")
    pool = _AVG_POOL[x.ndim]
    mean: Tensor = pool(F.pad(x, around), kernel, strides, ceil_mode=ceil)
    if not given.flag("exclude_padding_from_average"):
        return mean
    share: Tensor = pool(F.pad(torch.ones_like(x), around), kernel, strides, ceil_mode=ceil)
    return mean / share


def _windows(given: Operands) -> tuple[list[int], list[int], list[int]]:
    """Kernel sizes, strides and padding of a pooling operator."""
    kernel = given.integers("kernel_sizes")
    strides = given.integers("strides", [1] * len(kernel))
    return kernel, strides, _padding(given, given.tensor("x").shape[2:], kernel, strides)


LINEAR: dict[str, Callable[[Operands], Tensor]] = {
    "avg_pool": avg_pool,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "linear": linear,
    "matmul": matmul,
    "max_pool": max_pool,
    "scaled_dot_product_attention": attention,
}
