"""Detects which model a checkpoint is of, by comparing names and shapes with every definition.

A file may fill all graphs of a model or one of two (NanoSAM's encoder, MobileSAMv2's decoder). Some
models have the same tensors, so that no file can tell them apart: MobileSAM and TinySAM differ in
the choice of masks, EfficientTAM's variants in a configuration. All of them are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints.fit import Shapes, aligned_name, build, part_of
from edgekit.models.checkpoints.read import read_tensors
from edgekit.models.checkpoints.recognise import family_of
from edgekit.models.checkpoints.renaming import upstream_names
from edgekit.records import ModelRow, Role

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a checkpoint holds.

    `models` are the models that the file fills completely. If there is none, `encoders` and
    `decoders` are the models of which it fills one graph. `family` is a guess from the names, which
    also knows families that edgekit lacks, or None. `parameters` counts floating-point numbers.
    """

    tensors: int
    parameters: int
    family: str | None
    models: tuple[str, ...]
    encoders: tuple[str, ...]
    decoders: tuple[str, ...]


def detect(path: Path) -> Detection:
    """Compare a file with every model of the registry.

    Raises:
        CheckpointMismatch: the file is not a checkpoint.
    """
    tensors = read_tensors(path)
    shapes = {new: tuple(tensors[old].shape) for old, new in upstream_names(tensors).items()}
    fits = {row: _roles_filled(row, shapes) for row in registry.models()}
    whole = _names(fits, lambda row, filled: filled == set(row.graph.roles))
    return Detection(
        tensors=len(tensors),
        parameters=sum(t.numel() for t in tensors.values() if t.is_floating_point()),
        family=family_of(tensors),
        models=whole,
        encoders=() if whole else _names(fits, lambda _, filled: filled == {Role.ENCODER}),
        decoders=() if whole else _names(fits, lambda _, filled: filled == {Role.DECODER}),
    )


def _names(
    fits: Mapping[ModelRow, set[Role]], counts: Callable[[ModelRow, set[Role]], bool]
) -> tuple[str, ...]:
    """The models whose filled roles count.

    A model whose widths adapt to the file is left out if a model of fixed widths fits too.
    """
    rows = [row for row, filled in fits.items() if counts(row, filled)]
    fixed = [row for row in rows if row.widths == "fixed"]
    return tuple(row.name for row in fixed or rows)


def _roles_filled(row: ModelRow, shapes: Shapes) -> set[Role]:
    """The graphs that the file fills as `load` requires: no tensor missing, none left over."""
    expected = _expected(row, shapes)
    known = {name: shape for names in expected.values() for name, shape in names.items()}
    given = {
        aligned_name(name, known): shape
        for name, shape in shapes.items()
        if not name.startswith(row.unused_keys)
    }
    unexpected = given.keys() - known.keys()
    filled = {
        role
        for role, names in expected.items()
        if names.items() <= given.items()
        and not set(map(part_of, unexpected)) & set(map(part_of, names))
    }
    return set() if filled == set(row.graph.roles) and unexpected else filled


def _expected(row: ModelRow, shapes: Shapes) -> dict[Role, Shapes]:
    """Each graph's names and shapes; empty if a model cannot read its widths from the file."""
    fixed = row.widths == "fixed"
    try:
        modules = _fixed_modules(row.builder, row.size) if fixed else _meta_modules(row, shapes)
    except CheckpointMismatch:
        return {}
    return {
        role: {prefix + name: tuple(t.shape) for name, t in module.state_dict().items()}
        for role, prefix, module in zip(Role, (row.encoder_prefix, ""), modules, strict=True)
        if module is not None
    }


@cache
def _fixed_modules(builder: str, size: str | None) -> tuple[nn.Module, nn.Module | None]:
    """Rows that share a builder and a size (MobileSAM, TinySAM) share the modules."""
    same = (row for row in registry.models() if (row.builder, row.size) == (builder, size))
    return _meta_modules(next(same), {})


def _meta_modules(row: ModelRow, shapes: Shapes) -> tuple[nn.Module, nn.Module | None]:
    """The modules on the meta device, without memory for their weights."""
    import torch

    with torch.device("meta"):
        return build(row, shapes)
