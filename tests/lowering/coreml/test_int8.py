"""W8A8: a program with integer codes becomes a package with integer codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.catalog import target as profile
from edgekit.emulation.mil.package import read_package
from edgekit.lowering import coreml
from edgekit.precision.apply.quantizer import apply_int8
from edgekit.precision.decide.codes import weight_code
from edgekit.program.capture import Program
from edgekit.program.saved import save_program
from edgekit.records import NodePlan, PartPlan, Precision, Quantization, Role, TensorSpec
from edgekit.runtime.opening import open_artifact

IMAGE, EMBEDDINGS = (1, 3, 16, 16), (1, 4, 16, 16)
STEP = 0.03


class TinyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(image)))


ZERO_POINTS = (0, -100)
"""Symmetric codes for the image, which has negative values too; affine ones after the ReLU."""


def _coded(node: str, layer: nn.Conv2d, zero_point: int) -> NodePlan:
    return NodePlan(
        node=node,
        operator="conv2d",
        block="",
        macs=0,
        precision=Precision.INT8,
        inputs=(Quantization(dtype="int8", scale=(STEP,), zero_point=(zero_point,)),),
        weight=weight_code(layer.weight.detach(), 0),
    )


@pytest.fixture(scope="module")
def coded() -> Program:
    encoder = TinyEncoder().eval()
    program = Program(
        role=Role.ENCODER,
        exported=torch.export.export(encoder, (torch.zeros(IMAGE),), strict=False),
        inputs=(TensorSpec(name="image", dtype="float32", shape=IMAGE),),
        outputs=(TensorSpec(name="image_embeddings", dtype="float32", shape=EMBEDDINGS),),
    )
    relu = NodePlan(node="relu", operator="relu", block="", macs=0, precision=Precision.FP32)
    first, last = ZERO_POINTS
    lines = (
        _coded("conv2d", encoder.first, first),
        relu,
        _coded("conv2d_1", encoder.last, last),
    )
    return apply_int8(program, PartPlan(role=Role.ENCODER, nodes=lines))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "limit"), [(Precision.FP32, 1e-5), (Precision.INT8, 2 * STEP)]
)
def test_the_package_computes_what_the_program_does(
    coded: Program, tmp_path: Path, precision: Precision, limit: float
) -> None:
    """With FP16 around it, a code may round the other way, which is one step."""
    target = replace(profile("iphone-int8"), precision=precision)
    graph = save_program(coded, folder=tmp_path)
    artifact = coreml.lower(graph, target, tmp_path)
    session = open_artifact(artifact, tmp_path, target, threads=1)
    image = np.random.default_rng(0).standard_normal(IMAGE, np.float32)
    expected = coded.exported.module()(torch.from_numpy(image)).detach().numpy()
    error = np.abs(session.run({"image": image})["image_embeddings"] - expected)
    assert error.max() <= limit


@pytest.mark.slow
def test_activations_and_weights_are_codes(coded: Program, tmp_path: Path) -> None:
    from coremltools.proto.Model_pb2 import Model

    target = profile("iphone-int8")
    artifact = coreml.lower(save_program(coded, folder=tmp_path), target, tmp_path)
    steps = read_package(tmp_path / artifact.entry).steps
    assert [step.outputs[0].dtype for step in steps if step.operator == "quantize"] == ["int8"] * 2
    zero_points = [
        int(step.inputs.get("zero_point", torch.tensor(0)))
        for step in steps
        if step.operator == "quantize"
    ]
    assert tuple(zero_points) == ZERO_POINTS
    assert {step.outputs[0].dtype for step in steps if step.operator == "conv"} == {"fp16"}
    file = tmp_path / artifact.entry / "Data/com.apple.CoreML/model.mlmodel"
    main = Model.FromString(file.read_bytes()).mlProgram.functions["main"]
    (block,) = main.block_specializations.values()
    kinds = [operation.type for operation in block.operations]
    assert kinds.count("constexpr_blockwise_shift_scale") == 2
