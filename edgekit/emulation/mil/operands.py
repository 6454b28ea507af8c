"""The inputs of an operator, by the names of Apple's reference."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Value = Tensor | str | tuple[Tensor, ...]
"""A tensor (numbers and flags are tensors of rank 0), a keyword such as a padding mode, or several
tensors."""


class Operands:
    """The inputs of one operator; optional ones may be absent."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def tensor(self, name: str) -> Tensor:
        """A tensor."""
        value = self._values[name]
        assert isinstance(value, Tensor)
        return value

    def optional(self, name: str) -> Tensor | None:
        """A tensor, or None if it is absent."""
        return self.tensor(name) if name in self else None

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """Several tensors."""
        value = self._values[name]
        assert isinstance(value, tuple)
        return value

    def text(self, name: str, default: str) -> str:
        """A keyword."""
        value = self._values.get(name, default)
        assert isinstance(value, str)
        return value

    def integers(self, name: str, default: list[int] | None = None) -> list[int]:
        """A constant vector of integers, or flags as 0 and 1."""
        if name not in self and default is not None:
            return default
        return [int(number) for number in self.tensor(name).flatten()]

    def integer(self, name: str, default: int | None = None) -> int:
        """A constant integer."""
        return self.integers(name, None if default is None else [default])[0]

    def number(self, name: str, default: float) -> float:
        """A constant number."""
        return float(self.tensor(name)) if name in self else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A constant boolean."""
        return bool(self.tensor(name)) if name in self else default


def along(vector: Tensor, axis: int, rank: int) -> Tensor:
    """A vector reshaped to broadcast along `axis` of a tensor; a scalar is returned unchanged."""
    if vector.ndim == 0:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def is_float(tensor: Tensor) -> bool:
    """Whether its elements are floating-point numbers."""
    return torch.is_floating_point(tensor)
