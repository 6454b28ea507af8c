"""Run one operator on plain numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from edgekit.emulation.mil.evaluator import OPERATORS
from edgekit.emulation.mil.operands import Operands, Value


def _value(given: object) -> Value:
    if isinstance(given, str):
        return given
    if isinstance(given, tuple):  # several tensors
        return tuple(torch.as_tensor(each) for each in given)
    array = np.asarray(given)
    narrow = {"float64": np.float32, "int64": np.int32}.get(array.dtype.name, array.dtype)
    return torch.from_numpy(np.array(array, dtype=narrow))


@pytest.fixture
def run() -> Callable[..., Tensor]:
    """`run("add", x=[1.0], y=[2.0])`; a tuple is several tensors, a list one."""

    def evaluated(operator: str, /, **given: object) -> Tensor:
        values = {name: _value(value) for name, value in given.items()}
        return OPERATORS[operator](Operands(values))

    return evaluated
