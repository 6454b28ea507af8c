"""Tensors of a file to a model, or a refusal that lists what does not fit."""

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
_LISTED = 6  # keys of each kind that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A model as its graphs, with the weights it was given; eval mode, float32, CPU."""

    row: ModelRow
    source: WeightsSource
    encoder: nn.Module
    decoder: nn.Module | None

    @property
    def modules(self) -> dict[Role, nn.Module]:
        """Those that there are."""
        decoder = {Role.DECODER: self.decoder} if self.decoder else {}
        return {Role.ENCODER: self.encoder} | decoder


Shapes = Mapping[str, tuple[int, ...]]
Builder = Callable[..., "tuple[nn.Module, nn.Module | None]"]


def build(row: ModelRow, shapes: Shapes | None = None) -> tuple[nn.Module, nn.Module | None]:
    """Encoder and decoder (None where the model has none) with PyTorch's own initialisation.

    Args:
        row: the model.
        shapes: of the checkpoint's tensors by upstream's names, for the rows whose widths are read
            off the file; None leaves those to the builder.
    """
    module, _, function = row.builder.partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    size = (row.size,) if row.size else ()
    return builder(*size, shapes) if row.widths == "from_checkpoint" else builder(*size)


def load(row: ModelRow, source: WeightsSource) -> Split:
    """Build the model and fill it.

    Raises:
        CheckpointMismatch: missing, unexpected, mis-shaped or non-finite tensors.
    """
    if source.kind == "seeded":
        encoder, decoder = build(row)
        _fill_seeded(encoder, row.encoder_prefix, source.seed or 0)
        if decoder:
            _fill_seeded(decoder, "", source.seed or 0)
        return Split(row=row, source=source, encoder=encoder, decoder=decoder)
    files = [_upstream(read_tensors(Path(file.path)), row) for file in source.files]
    shapes = {name: tuple(t.shape) for tensors in files for name, t in tensors.items()}
    encoder, decoder = build(row, shapes)
    names = " + ".join(Path(file.path).name for file in source.files)
    _fill(encoder, decoder, files, row, names)
    return Split(row=row, source=source, encoder=encoder, decoder=decoder)


def _fill_seeded(module: nn.Module, prefix: str, seed: int) -> None:
    """One tensor at a time: all of ViT-H's at once would take another 2.5 GB."""
    import torch

    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = seeded_tensor(prefix + name, tuple(tensor.shape), seed)
            tensor.copy_(torch.from_numpy(values))
        else:
            tensor.fill_(1)


def _upstream(tensors: dict[str, Tensor], row: ModelRow) -> dict[str, Tensor]:
    """Under upstream's names, without what the definition has no place for."""
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
    wanted = own[0] | own[1]
    read = files
    files = [_aligned(tensors, wanted) for tensors in files]
    parts = [_choose(files, set(names_of_part)) for names_of_part in own]
    found = {name: t for part in parts for name, t in part.items() if name in wanted}
    problems = _problems(found, wanted, strangers=_strangers(files, parts, wanted))
    if any(problems.values()):
        keys = [name for tensors in read for name in tensors]
        raise _mismatch(row, names, problems, family_of(keys))
    _refuse_non_finite(found, names)
    for name, tensor in wanted.items():
        tensor.copy_(found[name])


def _aligned(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Files of an encoder alone differ in whether they say so before every name."""
    return {aligned_name(name, wanted): tensor for name, tensor in tensors.items()}


def aligned_name(name: str, wanted: Mapping[str, object]) -> str:
    """A file's name as the model spells it: with, without or despite the encoder's prefix."""
    spellings = (name, _ENCODER + name, name.removeprefix(_ENCODER))
    return next((spelling for spelling in spellings if spelling in wanted), name)


def _choose(files: list[dict[str, Tensor]], wanted: set[str]) -> dict[str, Tensor]:
    """The file that holds this module whole, or everything, to be reported as it is.

    NanoSAM needs this: its decoder comes in MobileSAM's file, beside another encoder. Of several
    the one with the fewest tensors is meant: MobileSAMv2 has a file for its decoder alone, and
    takes its encoder from MobileSAM's, which has a decoder too.
    """
    merged = {name: tensor for tensors in files for name, tensor in tensors.items()}
    whole = min((t for t in files if wanted <= t.keys()), key=len, default=merged)
    own = set(map(part_of, wanted))
    return {name: tensor for name, tensor in whole.items() if part_of(name) in own}


def part_of(name: str) -> str:
    """`mask_decoder` of `mask_decoder.iou_token.weight`."""
    return name.partition(".")[0]


def _strangers(
    files: list[dict[str, Tensor]], parts: list[dict[str, Tensor]], wanted: Mapping[str, Tensor]
) -> set[str]:
    """Names without a place: in a single file all of them, else those of the parts taken."""
    seen = files if len(files) == 1 else parts
    return {name for tensors in seen for name in tensors} - wanted.keys()


def _problems(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, strangers: set[str]
) -> dict[str, list[str]]:
    return {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(strangers),
        "mis-shaped": sorted(
            f"{name} {list(found[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in found and found[name].shape != tensor.shape
        ),
    }


def _refuse_non_finite(tensors: dict[str, Tensor], names: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointMismatch(
                f"{names}: {name} holds NaN or infinity.", expected="a whole, trained checkpoint"
            )


def _mismatch(
    row: ModelRow, names: str, problems: dict[str, list[str]], family: str | None
) -> CheckpointMismatch:
    lines = [f"{names} does not fit {row.title}."]
    for kind, keys in problems.items():
        if keys:
            more = f", and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            lines.append(f"  {len(keys)} {kind}: {', '.join(keys[:_LISTED])}{more}")
    if family and _plain(row.family) not in _plain(family):
        lines.append(f"  Its keys look like {family}.")
    return CheckpointMismatch(
        "\n".join(lines),
        expected=f"a checkpoint of {row.title}: {', '.join(f.filename for f in row.checkpoints)}",
    )


def _plain(name: str) -> str:
    """A family's name without what its spellings differ in."""
    return name.lower().replace("-", "").replace(" ", "")
