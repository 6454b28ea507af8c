"""Read the specification and weights of a saved `.mlpackage` as an executable program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from edgekit.runtimes.quiet import quiet_coremltools

if TYPE_CHECKING:
    from coremltools.converters.mil.mil import Operation, Var


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor by name: an input of the program, or the result of an earlier operator."""

    name: str


Single = Tensor | str | Wire
Source = Single | tuple[Single, ...]
"""The source of an operator's input: a constant, a tensor, or several of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A tensor as declared in the file. `dtype` is MIL's name; None in `shape` is any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operator. `last_uses` names the tensors that no later step reads."""

    operator: str
    inputs: dict[str, Source]
    outputs: tuple[Declared, ...]
    last_uses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MilProgram:
    """The function `main` of a package; constants are expanded, and fp16 ones are in float32."""

    inputs: tuple[Declared, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Declared, ...]


def read_package(path: Path) -> MilProgram:
    """Read a package with coremltools, which can read but not run it off macOS.

    Raises:
        Exception: of any class, from coremltools, for files that it cannot read.
    """
    with quiet_coremltools() as coremltools:
        from coremltools.converters.mil.frontend.milproto.load import load

        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        specification = model.get_spec()
        program = load(
            specification,
            specification_version=specification.specificationVersion,
            file_weights_dir=model.weights_dir,
        )
    main = program.functions["main"]
    operations = [op for op in main.operations if not _is_constant(op)]
    return MilProgram(
        inputs=tuple(_declared(var) for var in main.inputs.values()),
        steps=tuple(_steps(operations, {var.name for var in main.outputs})),
        outputs=tuple(_declared(var) for var in main.outputs),
    )


def _steps(operations: list[Operation], outputs: set[str]) -> Iterator[Step]:
    sources = [_sources(op) for op in operations]
    last_step = {name: i for i, given in enumerate(sources) for name in _wires(given)}
    for index, (op, given) in enumerate(zip(operations, sources, strict=True)):
        yield Step(
            operator=op.op_type,
            inputs=given,
            outputs=tuple(_declared(var) for var in op.outputs),
            last_uses=tuple(
                name
                for name in dict.fromkeys(_wires(given))
                if last_step[name] == index and name not in outputs
            ),
        )


def _wires(given: dict[str, Source]) -> Iterator[str]:
    for source in given.values():
        for each in source if isinstance(source, tuple) else (source,):
            if isinstance(each, Wire):
                yield each.name


def _sources(op: Operation) -> dict[str, Source]:
    return {
        name: tuple(_source(var) for var in given)
        if isinstance(given, list | tuple)
        else _source(given)
        for name, given in op.inputs.items()
        if given is not None
    }


def _source(var: Var) -> Single:
    if var.op is None or not _is_constant(var.op):
        return Wire(var.name)
    value = var.val if var.op.op_type == "const" else var.op.materialized_val_inference()
    return value if isinstance(value, str) else _constant(np.asarray(value))


def _constant(array: np.ndarray) -> Tensor:
    wide = {"float16": np.float32, "uint16": np.int32, "uint32": np.int64}.get(array.dtype.name)
    return torch.from_numpy(np.array(array, dtype=wide or array.dtype, order="C"))


def _is_constant(op: Operation) -> bool:
    """Whether the value is stored in the file, plainly or compressed."""
    kind: str = op.op_type
    return kind == "const" or kind.startswith("constexpr_")


def _declared(var: Var) -> Declared:
    from coremltools.converters.mil.mil import types

    return Declared(
        name=var.name,
        dtype=types.builtin_to_string(var.dtype),
        shape=tuple(int(n) if isinstance(n, int | np.integer) else None for n in var.shape),
    )
