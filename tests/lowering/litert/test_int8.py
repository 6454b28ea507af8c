"""A program with integer codes becomes a file of integer kernels with the plan's numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.catalog import target
from edgekit.lowering.litert import lower
from edgekit.records import Artifact, PartPlan, Precision, Role, TensorSpec
from edgekit.runtime.opening import open_artifact
from tests.observed_ranges import observed_ranges

torch = pytest.importorskip("torch", reason="conversion starts from a torch program")
pytest.importorskip("litert_torch", reason="the converter is the extra `litert-export`")
pytestmark = pytest.mark.slow

FRAME, CHANNELS = 32, 8
TARGET = target("android-int8")
assert TARGET.int8
RECIPE = replace(TARGET.int8, head=0)


class Residual(torch.nn.Module):
    """NanoSAM's operators, with a coded sum at the end, so that the result must become float."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, CHANNELS, 7, 2, 3)
        self.first = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.second = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.deep = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        self.mix = torch.nn.Linear(CHANNELS, CHANNELS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.max_pool2d(self.stem(image).relu(), 3, 2, 1)
        x = (self.second(self.first(x).relu()) + x).relu()
        x = torch.nn.functional.gelu(self.deep(x))
        x = self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return torch.nn.functional.gelu(x)


@dataclass(frozen=True)
class Coded:
    """A converted file and its expected results."""

    artifact: Artifact
    folder: Path
    part: PartPlan
    image: np.ndarray
    planned: np.ndarray


class TwoReaders(torch.nn.Module):
    """Codes with one reader for channels last and one for channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, CHANNELS, 1)
        self.mix = torch.nn.Linear(CHANNELS, CHANNELS)
        self.up = torch.nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)
        self.also_up = torch.nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        tokens = self.mix(x.permute(0, 2, 3, 1).flatten(1, 2))
        mixed = tokens.unflatten(1, (FRAME, FRAME)).permute(0, 3, 1, 2)
        return self.up(x) + self.also_up(mixed)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Coded:
    return converted(Residual, tmp_path_factory.mktemp("int8"))


def converted(kind: type[torch.nn.Module], folder: Path) -> Coded:
    from edgekit.precision.apply.coded_walk import coded_walk
    from edgekit.precision.apply.quantizer import apply_int8
    from edgekit.precision.decide.int8 import plan_int8
    from edgekit.program.capture import Program
    from edgekit.program.saved import save_program

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = kind().eval()
        image = torch.randn(1, 3, FRAME, FRAME)
    specs = [
        TensorSpec(name=name, dtype="float32", shape=tuple(tensor.shape))
        for name, tensor in (("image", image), ("image_embeddings", module(image)))
    ]
    program = Program(
        role=Role.ENCODER,
        exported=torch.export.export(module, (image,), strict=False),
        inputs=(specs[0],),
        outputs=(specs[1],),
    )
    feeds = {"image": image.numpy()}
    part = plan_int8(program, observed_ranges(program, feeds), RECIPE)
    graph = save_program(apply_int8(program, part, fold=False), folder=folder)
    return Coded(
        artifact=lower(graph, TARGET, folder),
        folder=folder,
        part=part,
        image=feeds["image"],
        planned=coded_walk(program, part).run(feeds)["image_embeddings"],
    )


def test_the_file_computes_what_the_plan_says(coded: Coded) -> None:
    step = max(line.result.scale[0] for line in coded.part.nodes if line.result)
    assert np.abs(computed(coded) - coded.planned).max() <= 2.5 * step  # halves fall either way
    assert np.abs(coded.planned).max() > 20 * step


def test_codes_may_be_read_in_two_layouts(tmp_path: Path) -> None:
    coded = converted(TwoReaders, tmp_path)
    error = np.abs(computed(coded) - coded.planned).max()
    assert error < 0.05 * np.abs(coded.planned).max()


def computed(coded: Coded) -> np.ndarray:
    session = open_artifact(coded.artifact, coded.folder, TARGET, threads=1)
    got = session.run({"image": coded.image})["image_embeddings"]
    assert got.dtype == np.float32
    return got


def test_every_coded_product_is_an_integer_kernel(coded: Coded) -> None:
    from edgekit.lowering.litert.flatbuffer import read_tflite

    written = read_tflite(coded.folder / coded.artifact.entry)
    weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD")
    planned = [line.operator for line in coded.part.nodes if line.precision is Precision.INT8]
    assert planned.count("conv2d.default") == 4
    integer = integer_operators(coded.folder / coded.artifact.entry)
    assert {op: integer[op] for op in weighted} == {
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "ADD": 1,
    }
    assert {op: written.ops[op] for op in weighted} == {op: integer[op] for op in weighted}
    assert written.inputs == coded.artifact.inputs  # float32: the codes are the file's own affair


def integer_operators(path: Path) -> Counter[str]:
    """Operators of a file whose first input and first output are int8, by LiteRT's names."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model(str(path))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    (graph,) = content.subgraphs
    return Counter(
        names[content.operatorCodes[step.opcodeIndex].builtinCode]
        for step in graph.operators
        if {graph.tensors[i].type for i in (step.inputs[0], step.outputs[0])}
        == {schema.TensorType.INT8}
    )


def test_scales_in_the_file_are_the_plans(coded: Coded) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(coded.folder / coded.artifact.entry))
    held = {
        (round(float(scale), 7), int(zero))
        for tensor in interpreter.get_tensor_details()
        for scale, zero in [tensor["quantization"]]
        if tensor["dtype"] == np.int8 and scale
    }
    for line in coded.part.nodes:
        for code in (*line.inputs, line.result):
            assert code is None or (round(code.scale[0], 7), code.zero_point[0]) in held
