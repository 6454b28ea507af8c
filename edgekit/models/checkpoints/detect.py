"""Which model is a checkpoint of? Told by trying it on every definition, by name and shape.

A file may fill all graphs of a model, or one of two (NanoSAM's encoder, MobileSAMv2's decoder).
Where several models have the same tensors, no file can tell them apart: MobileSAM and TinySAM
differ in how masks are chosen, EfficientTAM's variants in a configuration. All of them are named.
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

    `models` are those of whose graphs every tensor is there; `encoders` and `decoders`, where
    there is no such model, those of which one half is. `family` is what the names look like, also
    of a model that edgekit does not have; None if nothing is known. `parameters` counts
    floating-point numbers.
    """

    tensors: int
    parameters: int
    family: str | None
    models: tuple[str, ...]
    encoders: tuple[str, ...]
    decoders: tuple[str, ...]


def detect(path: Path) -> Detection:
    """Try a file on every model of the registry.

    Raises:
        CheckpointMismatch: the file is no checkpoint.
    """
    tensors = read_tensors(path)
    shapes = {new: tuple(tensors[old].shape) for old, new in upstream_names(tensors).items()}
    fits = {row: _filled(row, shapes) for row in registry.models()}
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
    """Models that the file fills so far. One whose widths adapt to any file is no news where a
    model of fixed widths fits as well."""
    found = [row for row, filled in fits.items() if counts(row, filled)]
    fixed = [row for row in found if row.widths == "fixed"]
    return tuple(row.name for row in fixed or found)


def _filled(row: ModelRow, shapes: Shapes) -> set[Role]:
    """The graphs that the file fills as `load` would: nothing missing, nothing left over."""
    wanted = _wanted(row, shapes)
    known = {name: shape for names in wanted.values() for name, shape in names.items()}
    given = {
        aligned_name(name, known): shape
        for name, shape in shapes.items()
        if not name.startswith(row.unused_keys)
    }
    strangers = given.keys() - known.keys()
    filled = {
        role
        for role, names in wanted.items()
        if names.items() <= given.items()
        and not set(map(part_of, strangers)) & set(map(part_of, names))
    }
    return set() if filled == set(row.graph.roles) and strangers else filled


def _wanted(row: ModelRow, shapes: Shapes) -> dict[Role, Shapes]:
    """Names and shapes of each graph; none where a model of adapting widths finds none."""
    try:
        modules = _fixed(row.builder, row.size) if row.widths == "fixed" else _unfilled(row, shapes)
    except CheckpointMismatch:
        return {}
    return {
        role: {prefix + name: tuple(t.shape) for name, t in module.state_dict().items()}
        for role, prefix, module in zip(Role, (row.encoder_prefix, ""), modules, strict=True)
        if module is not None
    }


@cache
def _fixed(builder: str, size: str | None) -> tuple[nn.Module, nn.Module | None]:
    """Rows that share a builder and a size (MobileSAM, TinySAM) share the modules."""
    same = (row for row in registry.models() if (row.builder, row.size) == (builder, size))
    return _unfilled(next(same), {})


def _unfilled(row: ModelRow, shapes: Shapes) -> tuple[nn.Module, nn.Module | None]:
    """The modules without memory for their weights."""
    import torch

    with torch.device("meta"):
        return build(row, shapes)
