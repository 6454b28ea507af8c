"""Checkpoint files to plain tensors. No code in a file is ever run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch, RuntimeMissing

if TYPE_CHECKING:
    from torch import Tensor

# How upstream projects nest the state dict in their files.
_NESTS = ("model", "state_dict", "model_state_dict")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors`, `.onnx` or PyTorch file, under the file's own names.

    Raises:
        CheckpointMismatch: the file is no checkpoint, is damaged, or needs code to be run.
        RuntimeMissing: torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as missing:
        raise RuntimeMissing(
            "Reading checkpoints needs PyTorch, which is not installed.",
            next_step="pip install 'edgekit[export]'",
        ) from missing
    readers = {".safetensors": _read_safetensors, ".onnx": _read_onnx}
    return readers.get(path.suffix.lower(), _read_pytorch)(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path) from error


def _read_onnx(path: Path) -> dict[str, Tensor]:
    from edgekit.models.checkpoints.nanosam_onnx import encoder_tensors

    return encoder_tensors(path)


def _read_pytorch(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointMismatch(
            f"{path.name} holds more than tensors: reading it would run code from the file.",
            expected="a state dict (tensors and names only)",
            next_step="save it with torch.save(model.state_dict(), ...) where you trust the file",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path) from error
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Unwrap `{"model": {...}}` and the like."""
    import torch

    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping):
        raise _damaged(path)
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise _damaged(path)
    return tensors


def _damaged(path: Path) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{path.name} is damaged or is not a checkpoint.",
        expected="a PyTorch state dict, a .safetensors file or NanoSAM's published .onnx encoder",
    )
