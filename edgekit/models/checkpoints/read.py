"""Reads the tensors of checkpoint files, and never runs code from them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch, EdgekitError, RuntimeMissing
from edgekit.models.checkpoints.address import split_key
from edgekit.models.checkpoints.file_kind import FORMATS, kind_of, require_plain_archive
from edgekit.models.checkpoints.flatten import flatten
from edgekit.models.checkpoints.normalise import Checkpoint, normalise
from edgekit.models.checkpoints.pickle_bounds import require_bounded_pickles
from edgekit.models.checkpoints.renaming import require_agreement, split_tables, with_one_matrix
from edgekit.models.checkpoints.values import require_stored

if TYPE_CHECKING:
    from torch import Tensor


def read_checkpoint(values: Sequence[str]) -> Checkpoint:
    """The tensors of one file, or of all shards of one model, normalised.

    Args:
        values: paths, each with `#KEY` or not, as in `--weights`.

    Raises:
        CheckpointMismatch: a file is not a checkpoint, is damaged, holds several state dicts or
            two values of one tensor, or cannot be read without running code from it.
        RuntimeMissing: torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as missing:
        raise RuntimeMissing(
            "Reading checkpoints needs PyTorch, which is not installed.",
            next_step="pip install 'edgekit[export]'",
        ) from missing
    tensors: dict[str, Tensor] = {}
    keys, size = set(), 0
    for path, key in map(split_key, values):
        tensors |= _read(path)
        keys.add(key)
        size += path.stat().st_size
    name = split_key(values[0])[0].name
    checkpoint = normalise(tensors, file=name, key=keys.pop())
    require_stored(checkpoint.tensors, file=name, size=size)
    split, note = with_one_matrix(split_tables(checkpoint.tensors), file=name)
    require_agreement(split, file=name)
    notes = (*checkpoint.notes, note) if note else checkpoint.notes
    return replace(checkpoint, tensors=split, notes=notes)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The normalised tensors of one file, as `read_checkpoint` gives them."""
    return dict(read_checkpoint([str(path)]).tensors)


def _read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by their dotted names; a damaged file can raise anything below."""
    readers = {"safetensors": _read_safetensors, "onnx": _read_onnx, "torch": _read_pytorch}
    read = readers[kind_of(path)]
    try:
        tensors = read(path)
    except EdgekitError:
        raise
    except Exception as error:
        raise _damaged(path) from error
    if not tensors:
        raise CheckpointMismatch(
            f"{path.name} holds no tensors under names.",
            expected=FORMATS,
            next_step="torch.save(model.state_dict(), ...)",
        )
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_onnx(path: Path) -> dict[str, Tensor]:
    from edgekit.models.checkpoints.nanosam_onnx import encoder_tensors

    return encoder_tensors(path)


def _read_pytorch(path: Path) -> dict[str, Tensor]:
    import torch

    zipped = zipfile.is_zipfile(path)
    if zipped:
        require_plain_archive(path)
    require_bounded_pickles(path, zipped=zipped)
    try:
        # Mapped, not read: the file of a ViT-H is 2.5 GB, and its model takes the same again.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        return _read_pickled_module(path, error)
    return flatten(content, path.name) if isinstance(content, Mapping) else {}


def _read_pickled_module(path: Path, refusal: pickle.UnpicklingError) -> dict[str, Tensor]:
    """Read a file that torch's safe loader refuses: a whole module, without its code."""
    from edgekit.models.checkpoints.pickled_module import read_pickled

    tensors = flatten(read_pickled(path), path.name)
    if not tensors:
        raise CheckpointMismatch(
            f"{path.name} holds more than tensors: reading it would run code from the file.",
            expected="a state dict (tensors and names only), or a pickled module with its tensors",
            next_step="if you trust the file, load it and torch.save(model.state_dict(), ...)",
        ) from refusal
    return tensors


def _damaged(path: Path) -> CheckpointMismatch:
    return CheckpointMismatch(f"{path.name} is damaged or is not a checkpoint.", expected=FORMATS)
