"""What a plan of x86-ort-int8 calls INT8 has an integer kernel in ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.catalog import target
from edgekit.graph.export import lower_to_onnx
from edgekit.precision.apply.quantizer import apply_int8
from edgekit.precision.decide.int8 import plan_int8
from edgekit.program.capture import capture_encoder
from edgekit.records import PartPlan, Precision
from tests.observed_ranges import observed_ranges
from tests.precision.test_int8 import CHANNELS, FRAME, Residual

TARGET = target("x86-ort-int8")
KERNELS = {
    "conv2d.default": ("QLinearConv",),
    "add.Tensor": ("QLinearAdd",),
    "max_pool2d.default": ("MaxPool", "NhwcMaxPool"),
    "linear.default": ("QGemm", "MatMulIntegerToFloat"),
}
"""The integer kernels of ONNX Runtime, by operator; no test model has a pooling in float."""


class Neck(nn.Module):
    """The end of NanoSAM's encoder: a GELU stays float between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(F.gelu(self.first(F.gelu(self.stem(image)))))


class Fork(nn.Module):
    """A convolution and a sum whose results a sigmoid reads in float beside a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = self.first(x) * x.sigmoid()
        return self.head(F.gelu(self.second(x + self.first(x))))


class Transformer(nn.Module):
    """Linear layers whose results a GELU, attention, a sum and a layer norm read in float."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 4, 4)
        self.norm = nn.LayerNorm(CHANNELS)
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.proj = nn.Linear(CHANNELS, CHANNELS)
        self.wide, self.narrow = nn.Linear(CHANNELS, 64), nn.Linear(64, CHANNELS, bias=False)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.proj((q @ k.transpose(1, 2)).softmax(-1) @ v)
        x = x + self.narrow(F.gelu(self.wide(self.norm(x))))
        side = FRAME // 4
        return self.head(self.norm(x).transpose(1, 2).reshape(1, CHANNELS, side, side))


@pytest.mark.slow
@pytest.mark.parametrize("model", [Residual, Neck, Fork, Transformer])
def test_each_layer_planned_in_int8_has_an_integer_kernel(
    model: type[nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    program = capture_encoder(model().eval(), frame=FRAME)
    noise = np.random.default_rng(0).standard_normal((1, 3, FRAME, FRAME), dtype=np.float32)
    assert TARGET.int8 is not None
    part = plan_int8(program, observed_ranges(program, {"image": noise}), TARGET.int8)
    graph = lower_to_onnx(apply_int8(program, part), TARGET, folder=tmp_path)
    run = kernels(graph.path)
    integer = {name: sum(run[kernel] for kernel in KERNELS[name]) for name in KERNELS}
    assert Counter(integer) == planned(part)


def planned(part: PartPlan) -> Counter[str]:
    """How many nodes of each operator the plan calls INT8 without saying more."""
    lines = (line for line in part.nodes if line.precision is Precision.INT8 and not line.reason)
    return Counter(line.operator for line in lines)


def kernels(path: Path) -> Counter[str]:
    """The operators of ONNX Runtime's optimized graph."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
