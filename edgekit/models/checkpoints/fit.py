"""Loads the tensors of checkpoint files into a model, or lists what does not fit."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.read import read_tensors
from edgekit.models.checkpoints.recognise import family_of
from edgekit.models.checkpoints.renaming import upstream_names
from edgekit.models.seeded import seeded_tensor
from edgekit.records import ModelRow, Role, WeightsSource

if TYPE_CHECKING:
    from torch import Tensor, nn

_ENCODER = "image_encoder."
_LISTED = 6  # the most keys of each kind that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A model with its weights, split into its graphs: in eval mode, float32, on the CPU."""

    row: ModelRow
    source: WeightsSource
    encoder: nn.Module
    decoder: nn.Module | None

    @property
    def modules(self) -> dict[Role, nn.Module]:
        """The modules by role, without a decoder if the model has none."""
        decoder = {Role.DECODER: self.decoder} if self.decoder else {}
        return {Role.ENCODER: self.encoder} | decoder


Shapes = Mapping[str, tuple[int, ...]]
"""Tensors' shapes by upstream's names."""

Builder = Callable[..., "tuple[nn.Module, nn.Module | None]"]
"""Takes the row's size if it has one, then the shapes if the widths come from a checkpoint."""


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


def load(row: ModelRow, source: WeightsSource) -> Split:
    """Build the model and load its weights.

    Raises:
        CheckpointMismatch: tensors are missing, unexpected, mis-shaped or not finite.
    """
    if source.kind == "seeded":
        encoder, decoder = build(row)
        _fill_seeded(encoder, row.encoder_prefix, source.seed or 0)
        if decoder:
            _fill_seeded(decoder, "", source.seed or 0)
        return Split(row=row, source=source, encoder=encoder, decoder=decoder)
    files = [_rename(read_tensors(Path(file.path)), row) for file in source.files]
    shapes = {name: tuple(t.shape) for tensors in files for name, t in tensors.items()}
    encoder, decoder = build(row, shapes)
    names = " + ".join(Path(file.path).name for file in source.files)
    _fill(encoder, decoder, files, row, names)
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


def _rename(tensors: dict[str, Tensor], row: ModelRow) -> dict[str, Tensor]:
    """The tensors under upstream's names, without those that no graph needs."""
    names = upstream_names(tensors)
    return {
        names[name]: tensor
        for name, tensor in tensors.items()
        if not names[name].startswith(row.unused_keys) and not name.endswith("attention_bias_idxs")
    }


def _fill(
    encoder: nn.Module,
    decoder: nn.Module | None,
    files: list[dict[str, Tensor]],
    row: ModelRow,
    names: str,
) -> None:
    own = [
        {row.encoder_prefix + name: tensor for name, tensor in encoder.state_dict().items()},
        decoder.state_dict() if decoder else {},
    ]
    expected = own[0] | own[1]
    aligned = [_align(tensors, expected) for tensors in files]
    parts = [_choose_file(aligned, set(names_of_part)) for names_of_part in own]
    given = {name: t for part in parts for name, t in part.items() if name in expected}
    problems = _problems(given, expected, unexpected=_unexpected(aligned, parts, expected))
    if any(problems.values()):
        keys = [name for tensors in files for name in tensors]
        raise _mismatch(row, names, problems, family_of(keys))
    _require_finite(given, names)
    for name, tensor in expected.items():
        tensor.copy_(given[name])


def _align(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors: files of an encoder alone may or may not prefix every name."""
    return {aligned_name(name, expected): tensor for name, tensor in tensors.items()}


def aligned_name(name: str, expected: Mapping[str, object]) -> str:
    """A file's name as the model spells it, with the encoder's prefix added or removed."""
    spellings = (name, _ENCODER + name, name.removeprefix(_ENCODER))
    return next((spelling for spelling in spellings if spelling in expected), name)


def _choose_file(files: list[dict[str, Tensor]], expected: set[str]) -> dict[str, Tensor]:
    """The tensors of one module, from the smallest file that holds it whole, or from all files.

    NanoSAM takes its decoder from MobileSAM's file, which holds another encoder too. MobileSAMv2
    has a file for the decoder alone and takes its encoder from MobileSAM's, which holds a decoder
    too; so the file with the fewest tensors is the right one. If no file is whole, all tensors are
    returned, so that the error can list them.
    """
    merged = {name: tensor for tensors in files for name, tensor in tensors.items()}
    whole = min((t for t in files if expected <= t.keys()), key=len, default=merged)
    own = set(map(part_of, expected))
    return {name: tensor for name, tensor in whole.items() if part_of(name) in own}


def part_of(name: str) -> str:
    """The first part of a name: `mask_decoder` for `mask_decoder.iou_token.weight`."""
    return name.partition(".")[0]


def _unexpected(
    files: list[dict[str, Tensor]], parts: list[dict[str, Tensor]], expected: Mapping[str, Tensor]
) -> set[str]:
    """The names that the model lacks: of a single file, or of the parts taken from several."""
    used = files if len(files) == 1 else parts
    return {name for tensors in used for name in tensors} - expected.keys()


def _problems(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, unexpected: set[str]
) -> dict[str, list[str]]:
    return {
        "missing": sorted(expected.keys() - given.keys()),
        "unexpected": sorted(unexpected),
        "mis-shaped": sorted(
            f"{name} {list(given[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ),
    }


def _require_finite(tensors: dict[str, Tensor], names: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointMismatch(
                f"{names}: {name} holds NaN or infinity.", expected="a complete, trained checkpoint"
            )


def _mismatch(
    row: ModelRow, names: str, problems: dict[str, list[str]], family: str | None
) -> CheckpointMismatch:
    lines = [f"{names} does not fit {row.title}."]
    for kind, keys in problems.items():
        if keys:
            more = f", and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            lines.append(f"  {len(keys)} {kind}: {', '.join(keys[:_LISTED])}{more}")
    if family and _normalised(row.family) not in _normalised(family):
        lines.append(f"  Its keys look like {family}.")
    return CheckpointMismatch(
        "\n".join(lines),
        expected=f"a checkpoint of {row.title}: {', '.join(f.filename for f in row.checkpoints)}",
    )


def _normalised(name: str) -> str:
    """A family's name in lower case, without hyphens and spaces."""
    return name.lower().replace("-", "").replace(" ", "")
