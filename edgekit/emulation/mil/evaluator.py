"""Execute a program operator by operator, in the types that it declares."""

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
"""All supported operators, by their names in Apple's reference."""

EXACT = SHAPES.keys() | {"crop", "max_pool", "relu"}
"""Operators that select among their inputs and zero, so rounded inputs give rounded results."""


class UnlikeDeclared(Exception):
    """The shape of a result differs from the declared one: the file or the evaluator is wrong."""


def unknown_operators(program: MilProgram) -> tuple[str, ...]:
    """Operators of a program that the evaluator does not support, sorted."""
    return tuple(sorted({step.operator for step in program.steps} - OPERATORS.keys()))


def execute(program: MilProgram, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run a program of known operators.

    Args:
        program: as read from a package.
        feeds: a tensor for each input, left unchanged.

    Returns:
        The outputs by name, in float32 where the program declares fp16.

    Raises:
        UnlikeDeclared: a result has another shape than declared.
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
    results = OPERATORS[step.operator](given)
    results = results if isinstance(results, tuple) else (results,)
    exact = step.operator in EXACT
    return {
        declared.name: stored(tensor, declared, exact=exact)
        for declared, tensor in zip(step.outputs, results, strict=True)
    }


def _value(source: Source, tensors: Mapping[str, Tensor]) -> Value:
    if not isinstance(source, tuple):
        return _single(source, tensors)
    several = (_single(each, tensors) for each in source)
    return tuple(each for each in several if isinstance(each, Tensor))


def _single(source: Single, tensors: Mapping[str, Tensor]) -> Tensor | str:
    return tensors[source.name] if isinstance(source, Wire) else source


def stored(tensor: Tensor, declared: Declared, *, exact: bool = False) -> Tensor:
    """A result in its declared type; fp16 is rounded (unless `exact`) and held in float32."""
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
