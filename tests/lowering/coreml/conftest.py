"""Small programs as graphs for the conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.catalog import target as profile
from edgekit.records import Precision, Role, SavedProgram, Target, TensorSpec
from edgekit.store import sha256_of

pytest.importorskip("torch", reason="programs come from torch")
pytest.importorskip("coremltools", reason="packages come from coremltools")

import torch
from torch import Tensor, nn


@pytest.fixture
def target() -> Target:
    return profile("iphone-fp16")


@pytest.fixture
def fp32(target: Target) -> Target:
    return replace(target, precision=Precision.FP32)


class Applied(nn.Module):
    """A function of `x` as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.fixture
def graph_of(tmp_path: Path) -> Callable[..., SavedProgram]:
    """`graph_of(function, shape)`: a graph from `x` of that shape to `a`."""

    def made(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> SavedProgram:
        module, example = Applied(function), (torch.zeros(shape),)
        path = tmp_path / "decoder.pt2"
        torch.export.save(torch.export.export(module, example, strict=False), path)
        return SavedProgram(
            role=Role.DECODER,
            path=path,
            sha256=sha256_of(path),
            inputs=(_float32("x", shape),),
            outputs=(_float32("a", tuple(module(*example).shape)),),
            ops={},
        )

    return made


def _float32(name: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)
