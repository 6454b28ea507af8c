"""Compares a checkpoint's names and shapes with a model's, for loading and for `detect` alike.

Only shapes are compared, with the model on the meta device, so that a file's claims cost no memory
until every one of them is known to be met.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.models.checkpoints.renaming import upstream_names
from edgekit.records import ModelRow, Role

if TYPE_CHECKING:
    from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors' shapes by name."""

Builder = Callable[..., "tuple[nn.Module, nn.Module | None]"]
"""Takes the row's size if it has one, then the shapes if the widths come from a checkpoint."""

_ENCODER = "image_encoder."
_UNUSED_ENDINGS = ("attention_bias_idxs",)
COUNTER = "num_batches_tracked"
"""Batch norm's counter: a model in eval mode does not need it, so files may lack it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misshapen:
    """A tensor of another shape than the model's."""

    name: str
    given: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the files fill a model.

    `taken` gives for each of the model's names the file's index and the name there. `idle` are the
    indices of files of which nothing is taken. `whole` are the parts without a problem.
    """

    taken: Mapping[str, tuple[int, str]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[Misshapen, ...]
    idle: tuple[int, ...]
    whole: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every tensor of the model is there, and no other."""
        return not self.problems

    @property
    def problems(self) -> int:
        """How many tensors are missing, unexpected or of another shape."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


def build(row: ModelRow, shapes: Shapes | None = None) -> tuple[nn.Module, nn.Module | None]:
    """The encoder and the decoder (None if the model has none), as PyTorch initialises them.

    Args:
        row: the model.
        shapes: of the checkpoint's tensors. Rows whose widths come from the checkpoint need them;
            with None their builder takes default widths.
    """
    module, _, function = row.builder.partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    size = (row.size,) if row.size else ()
    return builder(*size, shapes) if row.widths == "from_checkpoint" else builder(*size)


def expected_shapes(row: ModelRow, shapes: Shapes) -> dict[Role, Shapes]:
    """Each graph's names and shapes, without building its weights.

    Raises:
        CheckpointMismatch: the model reads its widths from the file, and they cannot be read.
    """
    import torch

    with torch.device("meta"):
        modules = build(row, shapes)
    return {
        role: {prefix + name: tuple(t.shape) for name, t in module.state_dict().items()}
        for role, prefix, module in zip(Role, (row.encoder_prefix, ""), modules, strict=True)
        if module is not None
    }


def own_names(row: ModelRow, names: Sequence[str]) -> dict[str, str]:
    """The file's names by upstream's, without those that no graph needs."""
    upstream = upstream_names(names)
    return {
        upstream[name]: name
        for name in names
        if not upstream[name].startswith(row.unused_keys) and not name.endswith(_UNUSED_ENDINGS)
    }


def compare(files: Sequence[Shapes], expected: Shapes) -> Comparison:
    """Compare files, by upstream's names, with a model.

    Every part (`image_encoder`, `mask_decoder`) comes from the smallest file that holds it whole.
    NanoSAM takes its decoder from MobileSAM's file, which holds another encoder too. MobileSAMv2
    has a file for the decoder alone and takes its encoder from MobileSAM's. A file of a fine-tuned
    decoder replaces that part of the whole model beside it.
    """
    needed = {name: shape for name, shape in expected.items() if not name.endswith(COUNTER)}
    aligned = [_aligned(shapes, expected) for shapes in files]
    parts = {part: {n for n in expected if part_of(n) == part} for part in map(part_of, needed)}
    fitting = [
        {n for n, given in names.items() if expected.get(n) == shapes[given]}
        for names, shapes in zip(aligned, files, strict=True)
    ]
    chosen = {
        part: _holders(fitting, aligned, names & needed.keys()) for part, names in parts.items()
    }
    taken = {
        name: (index, aligned[index][name])
        for part, names in parts.items()
        for index in chosen[part]
        for name in names & aligned[index].keys()
    }
    misshapen = tuple(
        Misshapen(name=name, given=files[index][given], expected=expected[name])
        for name, (index, given) in sorted(taken.items())
        if files[index][given] != expected[name]
    )
    missing = needed.keys() - taken.keys()
    unexpected = _unexpected(aligned, chosen) - expected.keys()
    faulty = set(map(part_of, (*missing, *unexpected, *(bad.name for bad in misshapen))))
    return Comparison(
        taken=taken,
        missing=tuple(sorted(missing)),
        unexpected=tuple(sorted(unexpected)),
        misshapen=misshapen,
        idle=tuple(sorted(set(range(len(files))) - {index for index, _ in taken.values()})),
        whole=tuple(part for part in parts if part not in faulty),
    )


def part_of(name: str) -> str:
    """The first part of a name: `mask_decoder` for `mask_decoder.iou_token.weight`."""
    return name.partition(".")[0]


def _aligned(shapes: Shapes, expected: Shapes) -> dict[str, str]:
    """The file's names by the model's: a file of one part may lack the part's prefix."""
    exact = {name: name for name in shapes if name in expected}
    result = dict(exact)
    for name in (name for name in shapes if name not in exact):
        spelled = aligned_name(name, expected)
        result[name if spelled in result else spelled] = name  # a second spelling is unexpected
    if result.keys() & expected.keys():
        return result
    parts = {f"{part_of(name)}." for name in expected}
    best = max(parts, key=lambda part: sum(part + name in expected for name in shapes), default="")
    found = {best + name: name for name in shapes}
    return found if found.keys() & expected.keys() else result


def aligned_name(name: str, expected: Mapping[str, object]) -> str:
    """A file's name as the model spells it, with the encoder's prefix added or removed."""
    spellings = (name, _ENCODER + name, name.removeprefix(_ENCODER))
    return next((spelling for spelling in spellings if spelling in expected), name)


def _holders(
    fitting: Sequence[set[str]], files: Sequence[Mapping[str, str]], names: set[str]
) -> tuple[int, ...]:
    """The smallest file that holds all names, in the model's shapes if any does.

    If no file is whole, all files, the last of which wins, so that the error can list the tensors.
    """
    holders = [i for i, own in enumerate(fitting) if names <= own]
    holders = holders or [i for i, file in enumerate(files) if names <= file.keys()]
    return (min(holders, key=lambda i: len(files[i])),) if holders else tuple(range(len(files)))


def _unexpected(
    files: Sequence[Mapping[str, str]], chosen: Mapping[str, tuple[int, ...]]
) -> set[str]:
    """The names of a single file, or of the parts taken from several."""
    if len(files) == 1:
        return set(files[0])
    return {
        name
        for part, indices in chosen.items()
        for index in indices
        for name in files[index]
        if part_of(name) == part
    }
