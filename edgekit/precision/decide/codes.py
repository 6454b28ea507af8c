"""Integer codes: scale and zero point of an activation by its range, of a weight by its values.

An activation's range is what one photo spans, averaged over photos, as in NNCF: the farthest value
of all would make every step coarser for one photo's sake (figures in `int8`).
"""

from __future__ import annotations

import math

from torch import Tensor

from edgekit.errors import BadInput
from edgekit.precision.measure.ranges import Range
from edgekit.records import Int8Recipe, Quantization

_SMALLEST = 1e-9
"""A tensor that is zero everywhere still needs a scale."""


def activation_code(found: Range, recipe: Int8Recipe, *, name: str) -> Quantization:
    """One scale and zero point for a whole activation; zero, which padding and ReLU make, is exact.

    Raises:
        BadInput: the range is not finite; `name` is the tensor's, for the message.
    """
    low, high = found.usual_low, found.usual_high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadInput(
            f"The range of {name} is {low} to {high}, which no integer code spans.",
            expected="finite ranges, measured on real photos",
            next_step="check the weights: edgekit verify the same model for x86-fp32",
        )
    if recipe.activations == "int8":
        scale = max(-low, high, 127 * _SMALLEST) / 127
        return Quantization(dtype="int8", scale=(scale,), zero_point=(0,))
    scale = step(found)
    zero = round(-min(low, 0.0) / scale)
    if recipe.activations == "affine_int8":
        return Quantization(dtype="int8", scale=(scale,), zero_point=(zero - 128,))
    return Quantization(dtype="uint8", scale=(scale,), zero_point=(zero,))


def step(found: Range) -> float:
    """The distance of two codes with a zero point: the usual range and zero in 255 steps."""
    return max((max(found.usual_high, 0.0) - min(found.usual_low, 0.0)) / 255, _SMALLEST)


def limits(code: Quantization) -> tuple[int, int]:
    """Smallest and largest code: all that the type holds, but for a weight's -128."""
    if code.dtype == "uint8":
        return 0, 255
    return (-128 if code.axis is None else -127), 127


def weight_code(weight: Tensor, axis: int) -> Quantization:
    """A symmetric int8 scale for each slice of a weight along `axis`; -128 is not used."""
    largest = weight.detach().abs().transpose(0, axis).flatten(1).amax(1)
    scales = (largest / 127).clamp_min(_SMALLEST)
    return Quantization(
        dtype="int8",
        scale=tuple(scales.tolist()),
        zero_point=(0,) * len(scales),
        axis=axis,
    )
