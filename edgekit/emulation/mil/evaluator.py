"""Execute a program, operator by operator, in the types that it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from edgekit.emulation.mil.elementwise import DTYPES, ELEMENTWISE
from edgekit.emulation.mil.linear import LINEAR
from edgekit.emulation.mil.normalisation import NORMALISATION
from edgekit.emulation.mil.operands import Operands, Value
from edgekit.emulation.mil.package import (
    Declared,
    MilProgram,
    Single,
    Source,
    Step,
    Wire,
)
from edgekit.emulation.mil.quantization import QUANTIZATION
from edgekit.emulation.mil.resampling import RESAMPLING
from edgekit.emulation.mil.shapes import SHAPES

OPERATORS: dict[str, Callable[[Operands], Tensor | tuple[Tensor, ...]]] = {
    **ELEMENTWISE,
    **SHAPES,
    **LINEAR,
    **NORMALISATION,
    **RESAMPLING,
    **QUANTIZATION,
}
"""Every operator that can be executed, by its name in Apple's reference."""

EXACT = SHAPES.keys() | {"crop", "max_pool", "relu"}
"""Operators whose results are among what they were given, and 0: already rounded, if that was."""


class UnlikeDeclared(Exception):
    """An operator's result has another shape than the file declares: one of the two is wrong."""


def unknown_operators(program: MilProgram) -> tuple[str, ...]:
    """Operators of a program that are not in the table, sorted."""
    return tuple(sorted({step.operator for step in program.steps} - OPERATORS.keys()))


def execute(program: MilProgram, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run a program of known operators.

    Args:
        program: as read from a package.
        feeds: a tensor for each of its inputs; they are left as they are.

    Returns:
        Its outputs by name; fp16 ones in float32.

    Raises:
        UnlikeDeclared: see there.
    """
    tensors = dict(feeds)
    with torch.inference_mode():
        for step in program.steps:
            results = _results(step, tensors)
            for name in step.last_uses:
                del tensors[name]
            tensors |= results
    return {output.name: tensors[output.name] for output in program.outputs}


def _results(step: Step, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    given = Operands({name: _value(source, tensors) for name, source in step.inputs.items()})
    made = OPERATORS[step.operator](given)
    made = made if isinstance(made, tuple) else (made,)
    exact = step.operator in EXACT
    return {
        declared.name: stored(tensor, declared, exact=exact)
        for declared, tensor in zip(step.outputs, made, strict=True)
    }


def _value(source: Source, tensors: Mapping[str, Tensor]) -> Value:
    if not isinstance(source, tuple):
        return _single(source, tensors)
    several = (_single(each, tensors) for each in source)
    return tuple(each for each in several if isinstance(each, Tensor))


def _single(source: Single, tensors: Mapping[str, Tensor]) -> Tensor | str:
    return tensors[source.name] if isinstance(source, Wire) else source


def stored(tensor: Tensor, declared: Declared, *, exact: bool = False) -> Tensor:
    """A result in its declared type; an fp16 one rounded to it, unless exact, and in float32."""
    fits = tensor.ndim == len(declared.shape) and all(
        wanted in {None, size} for size, wanted in zip(tensor.shape, declared.shape, strict=True)
    )
    if not fits:
        raise UnlikeDeclared(
            f"{declared.name} has the shape {list(tensor.shape)}, not {list(declared.shape)}"
        )
    if declared.dtype == "fp16" and not exact:
        return tensor.to(torch.float16).to(torch.float32)
    return tensor.to(DTYPES[declared.dtype])
