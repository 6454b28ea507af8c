"""Loads the tensors of checkpoint files into a model, or says what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.address import groups
from edgekit.models.checkpoints.compare import (
    Comparison,
    Shapes,
    build,
    compare,
    expected_shapes,
    own_names,
)
from edgekit.models.checkpoints.diagnose import Diagnosis, diagnose
from edgekit.models.checkpoints.normalise import Checkpoint
from edgekit.models.checkpoints.origin import origins
from edgekit.models.checkpoints.read import read_checkpoint
from edgekit.models.checkpoints.recognise import family_of
from edgekit.models.checkpoints.values import require_weights
from edgekit.models.seeded import seeded_tensor
from edgekit.records import ModelRow, Role, WeightsSource
from edgekit.store import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Shapes", "Split", "build", "load"]

_LISTED = 3  # the most keys of each kind that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A model with its weights, split into its graphs: in eval mode, float32, on the CPU.

    `source` says which file gave which tensors. `notes` are sentences for the user on what of the
    files was left out or chosen.
    """

    row: ModelRow
    source: WeightsSource
    encoder: nn.Module
    decoder: nn.Module | None
    notes: tuple[str, ...] = ()

    @property
    def modules(self) -> dict[Role, nn.Module]:
        """The modules by role, without a decoder if the model has none."""
        decoder = {Role.DECODER: self.decoder} if self.decoder else {}
        return {Role.ENCODER: self.encoder} | decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One file, or all shards of one model, by upstream's names."""

    name: str
    tensors: Mapping[str, Tensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def load(row: ModelRow, source: WeightsSource) -> Split:
    """Build the model and load its weights.

    Raises:
        CheckpointMismatch: tensors are missing, unexpected, mis-shaped or not finite float
            numbers; or nothing of one of the files is used.
    """
    if source.kind == "seeded":
        return _seeded(row, source)
    sets = groups(file.path for file in source.files)
    checkpoints = [read_checkpoint(values) for values in sets]
    files = [
        _File(
            name=Path(values[0]).name,
            tensors={
                own: checkpoint.tensors[given]
                for own, given in own_names(row, tuple(checkpoint.tensors)).items()
            },
        )
        for values, checkpoint in zip(sets, checkpoints, strict=True)
    ]
    shapes = {name: shape for file in files for name, shape in file.shapes.items()}
    comparison = _compared(row, files, shapes, checkpoints)
    _require_used(row, files, comparison)
    # Only now is memory taken: every shape of the model is one of the file's.
    encoder, decoder = build(row, shapes)
    own = {row.encoder_prefix + name: tensor for name, tensor in encoder.state_dict().items()}
    others = decoder.state_dict() if decoder else {}
    _fill(own | others, files, comparison)
    places = {file.path: index for index, file in enumerate(source.files)}
    indices = [tuple(places[value] for value in values) for values in sets]
    graphs = {Role.ENCODER: own.keys(), Role.DECODER: others.keys()}
    source = replace(source, origins=origins(comparison, graphs, indices))
    notes = tuple(note for checkpoint in checkpoints for note in checkpoint.notes)
    return Split(row=row, source=source, encoder=encoder, decoder=decoder, notes=notes)


def _seeded(row: ModelRow, source: WeightsSource) -> Split:
    encoder, decoder = build(row)
    _fill_seeded(encoder, row.encoder_prefix, source.seed or 0)
    if decoder:
        _fill_seeded(decoder, "", source.seed or 0)
    return Split(row=row, source=source, encoder=encoder, decoder=decoder)


def _fill_seeded(module: nn.Module, prefix: str, seed: int) -> None:
    """Fill one tensor at a time: all of ViT-H's at once would take another 2.5 GB."""
    import torch

    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = seeded_tensor(prefix + name, tuple(tensor.shape), seed)
            tensor.copy_(torch.from_numpy(values))
        else:
            tensor.fill_(1)


def _compared(
    row: ModelRow, files: Sequence[_File], shapes: Shapes, checkpoints: Sequence[Checkpoint]
) -> Comparison:
    """The comparison of files that fit.

    Raises:
        CheckpointMismatch: they do not; the message says why, as far as their names tell.
    """
    given = {
        name: tuple(tensor.shape)
        for checkpoint in checkpoints
        for name, tensor in checkpoint.tensors.items()
    }
    diagnosis = diagnose(given)
    names = " + ".join(printable(file.name) for file in files)
    try:
        graphs = expected_shapes(row, shapes)
    except CheckpointMismatch as error:
        if diagnosis is None:
            raise
        raise _refusal(row, names, [diagnosis.what], diagnosis) from error
    expected = {name: shape for graph in graphs.values() for name, shape in graph.items()}
    comparison = compare([file.shapes for file in files], expected)
    if comparison.problems:
        family = family_of(given)
        lines = _problem_lines(comparison)
        if diagnosis:
            lines.insert(0, f"  {diagnosis.what}")
        if family and _normalised(row.family) not in _normalised(family):
            lines.append(f"  Its keys look like {family}.")
        raise _refusal(row, names, lines, diagnosis)
    return comparison


def _require_used(row: ModelRow, files: Sequence[_File], comparison: Comparison) -> None:
    if not comparison.idle:
        return
    idle = files[comparison.idle[0]]
    used = [file.name for i, file in enumerate(files) if i not in comparison.idle]
    raise CheckpointMismatch(
        f"Nothing of {printable(idle.name)} is used: {', '.join(map(printable, used))} holds every "
        f"part of {row.title} whole, in no more tensors.",
        expected="files that each give a whole part, such as mask_decoder.* or image_encoder.*",
        next_step=f"leave one file out; edgekit detect {printable(idle.name)} shows what it holds",
    )


def _fill(model: Mapping[str, Tensor], files: Sequence[_File], comparison: Comparison) -> None:
    for index, file in enumerate(files):
        taken = {
            name: file.tensors[given]
            for name, (source, given) in comparison.taken.items()
            if source == index
        }
        require_weights(taken, model, file.name)
        for name, tensor in taken.items():
            model[name].copy_(tensor)


def _problem_lines(comparison: Comparison) -> list[str]:
    problems = {
        "missing": comparison.missing,
        "unexpected": comparison.unexpected,
        "mis-shaped": tuple(
            f"{bad.name} {list(bad.given)} instead of {list(bad.expected)}"
            for bad in comparison.misshapen
        ),
    }
    lines = []
    for kind, keys in problems.items():
        if keys:
            more = f", and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            listed = ", ".join(printable(key) for key in keys[:_LISTED])
            lines.append(f"  {len(keys)} {kind}: {listed}{more}")
    return lines


def _refusal(
    row: ModelRow, names: str, lines: list[str], diagnosis: Diagnosis | None
) -> CheckpointMismatch:
    return CheckpointMismatch(
        "\n".join((f"{names} does not fit {row.title}.", *lines)),
        expected=f"a checkpoint of {row.title}: {', '.join(f.filename for f in row.checkpoints)}",
        next_step=diagnosis.next_step if diagnosis else None,
    )


def _normalised(name: str) -> str:
    """A family's name in lower case, without hyphens and spaces."""
    return name.lower().replace("-", "").replace(" ", "")
