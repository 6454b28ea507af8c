"""Detects which model a checkpoint belongs to, by comparing names and shapes with every definition.

A file may fill all graphs of a model or one of two (NanoSAM's encoder, MobileSAMv2's decoder). Some
models have the same tensors, so that no file can tell them apart: MobileSAM and TinySAM differ in
the choice of masks, EfficientTAM's variants in a configuration. All of them are named. The
comparison is the one that `load` makes, so a model that is named here loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints.address import expand, split_key
from edgekit.models.checkpoints.compare import (
    Comparison,
    Misshapen,
    Shapes,
    aligned_name,
    compare,
    expected_shapes,
    own_names,
    part_of,
)
from edgekit.models.checkpoints.diagnose import diagnose
from edgekit.models.checkpoints.normalise import Checkpoint
from edgekit.models.checkpoints.read import read_checkpoint
from edgekit.models.checkpoints.recognise import family_of
from edgekit.models.checkpoints.values import require_finite
from edgekit.records import ModelRow, Role

_NEAR = 0.02  # of the model's tensors may have a problem, for the file to be called nearly right
_NEAR_AT_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Models that a file fits but for a few tensors, and the parts that are whole."""

    models: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[Misshapen, ...]
    whole: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a checkpoint holds.

    `models` are the models that the file fills completely. If there is none, `encoders` and
    `decoders` are the models of which it is one graph. If there is none either, `parts` are the
    parts that it holds whole, and nothing else, of the models `parts_of`; or `near` is what it fits
    but for a few tensors. `reason` says why it fits nothing, and `way_out` what to do, where the
    tensors tell. `family` is a guess from the names, which also knows families that edgekit lacks,
    or None.
    `parameters` counts floating-point numbers. `notes` say what was left out of the file.
    """

    tensors: int
    parameters: int
    family: str | None
    models: tuple[str, ...]
    encoders: tuple[str, ...]
    decoders: tuple[str, ...]
    parts: tuple[str, ...] = ()
    parts_of: tuple[str, ...] = ()
    near: Near | None = None
    reason: str | None = None
    way_out: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the file fills a model, one of its graphs or a part of one."""
        return bool(self.models or self.encoders or self.decoders or self.parts)


def detect(path: Path) -> Detection:
    """Compare a file with every model of the registry.

    Args:
        path: of a checkpoint, of shards, their index or their folder; or `FILE#KEY`.

    Raises:
        CheckpointMismatch: the file is not a checkpoint, or its weights are not finite numbers.
        BadInput: there is no file.
    """
    file, key = split_key(str(path))
    mark = "" if key is None else f"#{key}"
    checkpoint = read_checkpoint([f"{part}{mark}" for part in expand(file)])
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    results = {row: _compared(row, shapes) for row in registry.models()}
    whole = _names(results, lambda result: result.comparison.fits)
    halves = {} if whole else {role: _names(results, _is_half(role)) for role in Role}
    near = None if whole or any(halves.values()) else _nearest(results)
    parts = () if whole or any(halves.values()) or near else _names(results, _is_part)
    fits = bool(whole or any(halves.values()) or parts)
    if fits:
        require_finite(checkpoint.tensors, file.name)
    diagnosis = None if fits else diagnose(shapes)
    return Detection(
        tensors=len(shapes),
        parameters=_parameters(checkpoint),
        family=family_of(shapes),
        models=whole,
        encoders=halves.get(Role.ENCODER, ()),
        decoders=halves.get(Role.DECODER, ()),
        parts=_whole_parts(results, parts),
        parts_of=parts,
        near=None if diagnosis else near,
        reason=diagnosis.what if diagnosis else None,
        way_out=diagnosis.next_step if diagnosis else None,
        notes=checkpoint.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    comparison: Comparison
    half: Role | None
    tensors: int


def _parameters(checkpoint: Checkpoint) -> int:
    return sum(t.numel() for t in checkpoint.tensors.values() if t.is_floating_point())


def _names(
    results: Mapping[ModelRow, _Result | None], counts: Callable[[_Result], bool]
) -> tuple[str, ...]:
    """The models whose result counts.

    A model whose widths adapt to the file is left out if a model of fixed widths fits too.
    """
    rows = [row for row, result in results.items() if result and counts(result)]
    fixed = [row for row in rows if row.widths == "fixed"]
    return tuple(row.name for row in fixed or rows)


def _is_half(role: Role) -> Callable[[_Result], bool]:
    return lambda result: result.half is role


def _is_part(result: _Result) -> bool:
    comparison = result.comparison
    return bool(comparison.whole) and not (comparison.unexpected or comparison.misshapen)


def _whole_parts(
    results: Mapping[ModelRow, _Result | None], models: tuple[str, ...]
) -> tuple[str, ...]:
    """The parts that the first of these models takes from the file."""
    found = (result for row, result in results.items() if result and row.name in models[:1])
    return next((result.comparison.whole for result in found), ())


def _compared(row: ModelRow, shapes: Shapes) -> _Result | None:
    """The comparison with one model; None if a model cannot read its widths from the file."""
    names = own_names(row, tuple(shapes))
    given = {own: shapes[name] for own, name in names.items()}
    try:
        graphs = _expected(row, given)
    except CheckpointMismatch:
        return None
    expected = {name: shape for graph in graphs.values() for name, shape in graph.items()}
    return _Result(
        comparison=compare([given], expected),
        half=_half(given, graphs),
        tensors=len(expected),
    )


def _half(given: Shapes, graphs: Mapping[Role, Shapes]) -> Role | None:
    """The graph of two that the file is: it fills it and holds nothing of the other's parts."""
    if len(graphs) < 2:
        return None
    parts = {part_of(name): role for role, names in graphs.items() for name in names}
    everything = {name for names in graphs.values() for name in names}
    aligned = {part_of(aligned_name(name, dict.fromkeys(everything))) for name in given}
    roles = {parts[part] for part in aligned if part in parts}
    if len(roles) != 1:
        return None
    (role,) = roles
    return role if compare([given], graphs[role]).fits else None


def _nearest(results: Mapping[ModelRow, _Result | None]) -> Near | None:
    """The models with the fewest tensors that do not fit, if those are few."""
    near = {
        row.name: result.comparison
        for row, result in results.items()
        if result and result.comparison.problems <= max(_NEAR_AT_LEAST, int(_NEAR * result.tensors))
    }
    if not near:
        return None
    best = min(near.values(), key=lambda comparison: comparison.problems)
    return Near(
        models=tuple(name for name, comparison in near.items() if _same(comparison, best)),
        missing=best.missing,
        unexpected=best.unexpected,
        misshapen=best.misshapen,
        whole=best.whole,
    )


def _same(one: Comparison, other: Comparison) -> bool:
    return (one.missing, one.unexpected, one.misshapen) == (
        other.missing,
        other.unexpected,
        other.misshapen,
    )


def _expected(row: ModelRow, shapes: Shapes) -> dict[Role, Shapes]:
    if row.widths == "fixed":
        return dict(_fixed(row.builder, row.size, row.encoder_prefix))
    return expected_shapes(row, shapes)


@cache
def _fixed(builder: str, size: str | None, prefix: str) -> Mapping[Role, Shapes]:
    """Rows that share a builder and a size (MobileSAM, TinySAM) share the shapes."""
    same = (
        row
        for row in registry.models()
        if (row.builder, row.size, row.encoder_prefix) == (builder, size, prefix)
    )
    return expected_shapes(next(same), {})
