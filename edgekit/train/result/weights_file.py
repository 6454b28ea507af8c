"""The trained weights: one float16 safetensors file with upstream's names, for `--weights PATH`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import BadInput
from edgekit.store import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.records import ModelRow


def upstream_names(student: Mapping[str, Tensor], row: ModelRow) -> dict[str, Tensor]:
    """A `Student`'s state dict under the names of the model's published checkpoints.

    The decoder's keys keep their `prompt_encoder.` and `mask_decoder.`. The encoder's keys get
    upstream's prefix, which is empty for NanoSAM.
    """
    prefixes = {"encoder.": row.encoder_prefix, "decoder.": ""}
    return {
        upstream + name.removeprefix(ours): tensor
        for ours, upstream in prefixes.items()
        for name, tensor in student.items()
        if name.startswith(ours)
    }


def write_weights(
    path: Path, student: Mapping[str, Tensor], row: ModelRow, *, metadata: Mapping[str, str]
) -> None:
    """Write a `Student`'s state dict; floats become float16, counters stay integers.

    Raises:
        BadInput: a weight is not finite in float16: the run has diverged.
    """
    import torch
    from safetensors.torch import save

    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in upstream_names(student, row).items()
    }
    diverged = [name for name, tensor in halves.items() if not torch.isfinite(tensor).all()]
    if diverged:
        raise BadInput(
            f"The run has diverged: {len(diverged)} tensors are not finite in float16 "
            f"({diverged[0]} is the first).",
            expected="finite weights",
            next_step="train again with another --out and another --seed",
        )
    write_atomic(path, save(halves, metadata=dict(metadata)))
