"""Integer codes: scale and zero point of an activation by its range, of a weight by its values.

The range of an activation is the span of one photo, averaged over photos, as in NNCF. The extremes
over all photos would make every step coarser for the sake of one photo (figures in `int8`).
"""

from __future__ import annotations

import math

from torch import Tensor

from edgekit.errors import BadInput
from edgekit.precision.measure.ranges import Range
from edgekit.records import Int8Recipe, Quantization

_SMALLEST = 1e-9
"""The smallest scale: a tensor of zeros needs one too."""


def activation_code(span: Range, recipe: Int8Recipe, *, name: str) -> Quantization:
    """One scale and zero point for a whole activation; zero is exact, for padding and ReLU.

    Args:
        span: the measured range.
        recipe: the target's, which names the type of code.
        name: the tensor's, for the message.

    Raises:
        BadInput: the range is not finite.
    """
    low, high = span.usual_low, span.usual_high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadInput(
            f"The range of {name} is {low} to {high}, which integer codes cannot span.",
            expected="finite ranges, measured on real photos",
            next_step="check the weights: edgekit verify the same model for x86-fp32",
        )
    if recipe.activations == "int8":
        scale = max(-low, high, 127 * _SMALLEST) / 127
        return Quantization(dtype="int8", scale=(scale,), zero_point=(0,))
    scale = step(span)
    zero = round(-min(low, 0.0) / scale)
    if recipe.activations == "affine_int8":
        return Quantization(dtype="int8", scale=(scale,), zero_point=(zero - 128,))
    return Quantization(dtype="uint8", scale=(scale,), zero_point=(zero,))


def step(span: Range) -> float:
    """The scale of a code with a zero point: 255 steps span the usual range and zero."""
    return max((max(span.usual_high, 0.0) - min(span.usual_low, 0.0)) / 255, _SMALLEST)


def limits(code: Quantization) -> tuple[int, int]:
    """Smallest and largest code: the range of the type, without -128 for weights."""
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
