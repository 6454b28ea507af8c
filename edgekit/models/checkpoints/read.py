"""Reads the tensors of checkpoint files, and never runs code from them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch, RuntimeMissing

if TYPE_CHECKING:
    from torch import Tensor

# The keys under which upstream projects nest the state dict in their files.
_NESTS = ("model", "state_dict", "model_state_dict")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors`, `.onnx` or PyTorch file, under the file's own names.

    Raises:
        CheckpointMismatch: the file is not a checkpoint, is damaged, or cannot be read without
            running code from it.
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
        # Mapped, not read: the file of a ViT-H is 2.5 GB, and its model takes the same again.
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        return _read_pickled_module(path, error)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path) from error
    return _state_dict(content, path)


def _read_pickled_module(path: Path, refusal: pickle.UnpicklingError) -> dict[str, Tensor]:
    """Read a file that torch's safe loader refuses: a whole module, without its code."""
    from edgekit.models.checkpoints.pickled_module import read_pickled, tensors_of

    try:
        tensors = dict(tensors_of(_unwrap(read_pickled(path))))
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise _damaged(path) from error
    if not tensors:
        raise CheckpointMismatch(
            f"{path.name} holds more than tensors: reading it would run code from the file.",
            expected="a state dict (tensors and names only), or a pickled module with its tensors",
            next_step="if you trust the file, load it and torch.save(model.state_dict(), ...)",
        ) from refusal
    return tensors


def _unwrap(content: object) -> object:
    """The content inside the nesting that upstream projects use, such as `{"model": ...}`."""
    for nest in _NESTS:
        if isinstance(content, Mapping) and content.get(nest) is not None:
            content = content[nest]
    return content


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a file; a file in several parts gives those of all parts."""
    content = _unwrap(content)
    tensors = dict(_named_tensors(content)) if isinstance(content, Mapping) else {}
    if not tensors:
        raise _damaged(path)
    return tensors


def _named_tensors(
    content: Mapping[object, object], prefix: str = ""
) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of a file that may have parts.

    MobileSAMv2's decoder is `{"PromtEncoder": {...}, "MaskDecoder": {...}}`.
    """
    import torch

    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping) and not prefix:
            yield from _named_tensors(value, f"{name}.")


def _damaged(path: Path) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{path.name} is damaged or is not a checkpoint.",
        expected="a PyTorch state dict, a .safetensors file or NanoSAM's published .onnx encoder",
    )
