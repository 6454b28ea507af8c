"""Checks that a file's tensors are what they seem: stored numbers that float32 can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.store import printable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOST_SHARED = 4  # times the file's size: parts of a model may share a tensor
_SPARE = 1 << 20
_PLAIN = "float32, float16, bfloat16 or float64 numbers"


def require_stored(tensors: Mapping[str, Tensor], *, file: str, size: int) -> None:
    """Raise CheckpointMismatch unless every tensor's numbers are in the file.

    A view with stride 0 gives one number any shape, and a model of that shape would be built.

    Args:
        tensors: by name.
        file: its name, for the message.
        size: of the file, in bytes.
    """
    total = 0
    for name, tensor in tensors.items():
        kind = _unusable(tensor)
        if kind:
            raise CheckpointMismatch(
                f"{file}: {printable(name)} is a {kind} tensor.",
                expected=_PLAIN,
                next_step="convert it before saving: tensor.to_dense(), .dequantize() or .float()",
            )
        total += tensor.numel() * tensor.element_size()
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointMismatch(
                f"{file}: {printable(name)} repeats {tensor.untyped_storage().nbytes()} bytes "
                f"as {list(tensor.shape)}.",
                expected="every number of a tensor in the file: tensor.contiguous()",
            )
    if total > _MOST_SHARED * size + _SPARE:
        raise CheckpointMismatch(
            f"{file} has {size / 1e6:.1f} MB, but its tensors have {total / 1e6:.0f} MB: they "
            "repeat each other.",
            expected="every tensor's own numbers in the file",
        )


def _unusable(tensor: Tensor) -> str | None:
    """What kind of tensor it is, if its numbers cannot be read as they are."""
    import torch

    if tensor.is_meta:
        return "meta (without numbers)"
    if tensor.layout is not torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_quantized or tensor.is_complex() or tensor.element_size() < 1:
        return _dtype(tensor.dtype)
    return _dtype(tensor.dtype) if _dtype(tensor.dtype).startswith(("float8", "float4")) else None


def require_weights(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: str
) -> None:
    """Raise CheckpointMismatch unless float weights are finite float32 numbers."""
    for name, tensor in tensors.items():
        wrong = next(_wrong(tensor, expected[name]), None)
        if wrong:
            raise CheckpointMismatch(
                f"{file}: {printable(name)} holds {wrong}.",
                expected=f"a complete, trained checkpoint of {_PLAIN}",
            )


def require_finite(tensors: Mapping[str, Tensor], file: str) -> None:
    """Raise CheckpointMismatch if a float tensor holds numbers that `load` refuses."""
    require_weights({n: t for n, t in tensors.items() if t.is_floating_point()}, tensors, file)


def _wrong(tensor: Tensor, model: Tensor) -> Iterator[str]:
    if model.is_floating_point() is not tensor.is_floating_point():
        wanted = "float" if model.is_floating_point() else "integer"
        yield f"{_dtype(tensor.dtype)} numbers, where the model has {wanted} ones"
    elif tensor.is_floating_point():
        if not tensor.isfinite().all():
            yield "NaN or infinity"
        elif not tensor.float().isfinite().all():
            yield f"numbers beyond float32's range ({tensor.abs().max().item():.0e})"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
