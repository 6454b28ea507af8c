"""Conversion between numbers and 8-bit codes: number = (code - zero_point) * scale.

Compressed weights (`constexpr_*`) need no operator here: `package` expands them on reading.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgekit.emulation.mil.elementwise import DTYPES
from edgekit.emulation.mil.operands import Operands, along


def quantize(given: Operands) -> Tensor:
    """Numbers to codes: rounded half to even, then clamped to the range of the type."""
    numbers, dtype = given.tensor("input"), DTYPES[given.text("output_dtype", "int8")]
    scale, zero_point = _code(given, numbers.ndim)
    limits = torch.iinfo(dtype)
    codes = (numbers / scale).round() + zero_point
    return codes.clamp(limits.min, limits.max).to(dtype)


def dequantize(given: Operands) -> Tensor:
    """Codes to numbers."""
    codes = given.tensor("input")
    scale, zero_point = _code(given, codes.ndim)
    return (codes.to(torch.float32) - zero_point) * scale


def _code(given: Operands, rank: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point, of the whole tensor or per slice along `axis`."""
    axis = given.integer("axis", 0)
    scale = along(given.tensor("scale"), axis, rank)
    zero_point = given.optional("zero_point")
    if zero_point is None:
        return scale, torch.zeros(())
    return scale, along(zero_point, axis, rank).to(torch.float32)


QUANTIZATION: dict[str, Callable[[Operands], Tensor]] = {
    "dequantize": dequantize,
    "quantize": quantize,
}
