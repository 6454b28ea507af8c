"""Tensors of a file to a model, or a refusal that lists what does not fit."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.read import read_tensors
from edgekit.models.checkpoints.recognise import family_of
from edgekit.models.seeded import seeded_tensor
from edgekit.records import ModelRow, Role, WeightsSource

if TYPE_CHECKING:
    from torch import Tensor, nn

_DECODER = ("prompt_encoder.", "mask_decoder.")
_ENCODER = "image_encoder."
_LISTED = 6  # keys of each kind that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A model as its two graphs, with the weights it was given; eval mode, float32, CPU."""

    row: ModelRow
    source: WeightsSource
    encoder: nn.Module
    decoder: nn.Module

    def module(self, role: Role) -> nn.Module:
        """Encoder or decoder."""
        return self.encoder if role == Role.ENCODER else self.decoder


def build(row: ModelRow) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with PyTorch's own initialisation."""
    module, _, function = row.builder.partition(":")
    encoder, decoder = getattr(importlib.import_module(module), function)()
    return encoder, decoder


def load(row: ModelRow, source: WeightsSource) -> Split:
    """Build the model and fill it.

    Raises:
        CheckpointMismatch: missing, unexpected, mis-shaped or non-finite tensors.
    """
    encoder, decoder = build(row)
    if source.kind == "seeded":
        _fill_seeded(encoder, row.encoder_prefix, source.seed or 0)
        _fill_seeded(decoder, "", source.seed or 0)
    else:
        files = [_canonical(read_tensors(Path(file.path)), row) for file in source.files]
        names = " + ".join(Path(file.path).name for file in source.files)
        _fill(encoder, _ENCODER, _choose(files, encoder, _ENCODER), row, names)
        _fill(decoder, "", _choose(files, decoder, ""), row, names)
    return Split(row=row, source=source, encoder=encoder, decoder=decoder)


def _fill_seeded(module: nn.Module, prefix: str, seed: int) -> None:
    import torch

    module.load_state_dict(
        {
            name: torch.from_numpy(seeded_tensor(prefix + name, tuple(tensor.shape), seed))
            if tensor.is_floating_point()
            else torch.ones_like(tensor)
            for name, tensor in module.state_dict().items()
        }
    )


def _canonical(tensors: dict[str, Tensor], row: ModelRow) -> dict[str, Tensor]:
    """Encoder keys under `image_encoder.` whatever upstream writes before them."""
    own = (*_DECODER, _ENCODER)
    return {
        name if row.encoder_prefix or name.startswith(own) else _ENCODER + name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(row.unused_keys) and not name.endswith("attention_bias_idxs")
    }


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one module; an empty prefix stands for the decoder's."""
    if prefix:
        return {k: v for k, v in tensors.items() if k.startswith(prefix)}
    return {k: v for k, v in tensors.items() if k.startswith(_DECODER)}


def _choose(files: list[dict[str, Tensor]], module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The first file that holds this module whole, or everything, to be reported as it is.

    NanoSAM needs this: its decoder comes in MobileSAM's file, beside another encoder.
    """
    wanted = {prefix + name for name in module.state_dict()}
    for tensors in files:
        part = _part(tensors, prefix)
        if wanted <= part.keys():
            return part if len(files) > 1 else tensors
    return {name: tensor for tensors in files for name, tensor in tensors.items()}


def _fill(
    module: nn.Module, prefix: str, tensors: dict[str, Tensor], row: ModelRow, names: str
) -> None:
    wanted = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    part = _part(tensors, prefix)
    known = (_ENCODER, *_DECODER)
    strangers = [name for name in tensors if not name.startswith(known)]
    problems = {
        "missing": sorted(wanted.keys() - part.keys()),
        "unexpected": sorted((part.keys() - wanted.keys()) | set(strangers)),
        "mis-shaped": sorted(
            f"{name} {list(part[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in part and part[name].shape != tensor.shape
        ),
    }
    if any(problems.values()):
        raise _mismatch(row, names, problems, family_of(_upstream(tensors, row)))
    _refuse_non_finite(part, names)
    module.load_state_dict({name.removeprefix(prefix): part[name].float() for name in wanted})


def _upstream(tensors: dict[str, Tensor], row: ModelRow) -> list[str]:
    """Keys as the file had them: the family is told by those."""
    if row.encoder_prefix:
        return list(tensors)
    return [*tensors, *(name.removeprefix(_ENCODER) for name in tensors)]


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
    if family and row.family not in family.lower().replace("-", ""):
        lines.append(f"  Its keys look like {family}.")
    return CheckpointMismatch(
        "\n".join(lines),
        expected=f"a checkpoint of {row.title}: {', '.join(f.filename for f in row.checkpoints)}",
    )
