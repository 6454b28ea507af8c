"""INT8 on a tiny residual network: which operands are coded, the codes, and the results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from edgekit.catalog import target, targets
from edgekit.errors import BadInput
from edgekit.graph.export import lower_to_onnx
from edgekit.graph.lint import lint_file
from edgekit.precision.apply.coded_walk import coded_walk
from edgekit.precision.apply.divergence import first_divergence
from edgekit.precision.apply.quantizer import apply_int8
from edgekit.precision.decide.codes import activation_code, limits, weight_code
from edgekit.precision.decide.int8 import plan_int8
from edgekit.precision.measure.ranges import Ranges
from edgekit.program.capture import Program, capture_encoder
from edgekit.program.walk import Walk
from edgekit.records import (
    GraphContract,
    Int8Recipe,
    NodePlan,
    PartPlan,
    Precision,
    Role,
    Session,
)
from tests.observed_ranges import observed_ranges, range_of

FRAME, CHANNELS = 128, 16
UINT8 = Int8Recipe(activations="uint8", reads=("gelu", "max_pool2d"), sums="both")
INT8 = Int8Recipe(
    activations="int8", weighted=("conv2d", "conv_transpose2d", "linear"), sums="shortcut"
)
UINT8_TARGETS = {"onnxruntime": "x86-ort-int8", "openvino": "x86-int8"}
AFFINE = replace(UINT8, activations="affine_int8", results="coded")


class Residual(nn.Module):
    """NanoSAM's operators: [1, 3, 128, 128] -> [1, 16, 64, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.up = nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.positions = nn.Parameter(torch.randn(1, CHANNELS, 64, 64))

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(image)), 2)
        x = F.relu(self.second(F.relu(self.first(x))) + x)
        return self.head(F.gelu(self.up(x))) + self.positions


@pytest.fixture(scope="module")
def program() -> Program:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return capture_encoder(Residual().eval(), frame=FRAME)


@pytest.fixture(scope="module")
def image() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0)
    return {"image": noise.standard_normal((1, 3, FRAME, FRAME), dtype=np.float32)}


@pytest.fixture(scope="module")
def ranges(program: Program, image) -> Ranges:
    return observed_ranges(program, image)


def lines(part: PartPlan) -> dict[str, Precision]:
    return {line.node: line.precision for line in part.nodes}


def lines_of(part: PartPlan, operator: str) -> list[NodePlan]:
    return [line for line in part.nodes if line.operator.startswith(operator)]


def decibels(exact: np.ndarray, coded: np.ndarray) -> float:
    return float(10 * np.log10((exact**2).sum() / (((exact - coded) ** 2).sum() + 1e-12)))


# --- codes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [UINT8, INT8, AFFINE])
def test_zero_is_a_code_of_its_own(recipe: Int8Recipe) -> None:
    code = activation_code(range_of(torch.tensor([-0.17, 0.0, 6.3])), recipe, name="x")
    smallest, largest = limits(code)
    assert smallest <= code.zero_point[0] <= largest
    steps = 6.3 / code.scale[0] + code.zero_point[0]
    assert steps == pytest.approx(largest, abs=0.6)
    assert largest - smallest == 255


def test_zero_points_of_both_types_are_the_same_code() -> None:
    found = range_of(torch.tensor([-0.17, 0.0, 6.3]))
    unsigned, signed = (activation_code(found, recipe, name="x") for recipe in (UINT8, AFFINE))
    assert (unsigned.dtype, signed.dtype) == ("uint8", "int8")
    assert unsigned.scale == signed.scale
    assert unsigned.zero_point[0] - 128 == signed.zero_point[0]


def test_a_range_that_is_all_positive_starts_at_zero() -> None:
    code = activation_code(range_of(torch.tensor([3.0, 5.1])), UINT8, name="x")
    assert (code.scale[0], code.zero_point[0]) == (pytest.approx(5.1 / 255), 0)


@pytest.mark.parametrize("edge", [float("nan"), float("inf")])
def test_a_range_that_is_not_finite_has_no_code(edge: float) -> None:
    broken = replace(range_of(torch.tensor([0.0, 1.0])), usual_high=edge)
    with pytest.raises(BadInput, match=r"range of relu_3 is 0\.0 to (nan|inf)"):
        activation_code(broken, UINT8, name="relu_3")


def test_each_output_channel_has_its_scale() -> None:
    weight = torch.tensor([[1.0, -2.54], [0.0, 0.0], [0.127, 0.1]])
    assert weight_code(weight, 0).scale == pytest.approx((0.02, 1e-9, 0.001))
    assert len(weight_code(torch.ones(8, 4, 2, 2), 1).scale) == 4


# --- plan ----------------------------------------------------------------------------------------


def test_what_is_coded_by_a_recipe_of_cpus(program: Program, ranges: Ranges) -> None:
    part = plan_int8(program, ranges, UINT8)
    float_nodes = {line.node: line.reason for line in part.nodes if line.precision != "int8"}
    assert float_nodes == {
        "relu": "exact in any precision",
        "relu_1": "exact in any precision",
        "relu_2": "exact in any precision",
        "conv_transpose2d": "recipe: not made faster by codes",
        "gelu": "recipe: the output's head stays float",
        "conv2d_3": "recipe: the output's head stays float",
    }


def test_a_shortcut_is_coded_and_what_the_convolution_absorbs_is_not(
    program: Program, ranges: Ranges
) -> None:
    part = plan_int8(program, ranges, INT8)
    shortcut = next(line for line in part.nodes if line.node == "add")
    assert [code and code.dtype for code in shortcut.inputs] == [None, "int8"]
    assert lines(part)["conv_transpose2d"] is Precision.INT8
    assert lines(part)["max_pool2d"] is Precision.FP32


def test_results_are_coded_behind_the_relu_of_the_same_kernel(
    program: Program, ranges: Ranges
) -> None:
    part = plan_int8(program, ranges, AFFINE)
    results = {line.node: line.result for line in part.nodes if line.result}
    assert results.keys() == {"conv2d", "max_pool2d", "conv2d_1", "conv2d_2", "add"}
    behind = {"conv2d": "relu", "conv2d_1": "relu_1", "add": "relu_2"}
    for node, code in results.items():
        found = ranges.by_name[behind.get(node, node)]
        assert code == activation_code(found, AFFINE, name=node)
    # A table in codes beside a summand in float is no integer sum.
    assert lines(part)["add_1"] is Precision.FP32


class Pyramid(nn.Module):
    """Two max poolings in a row, with negative numbers; [1, 16, 64, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.mix = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.silu(self.stem(image))
        return self.head(F.gelu(self.mix(F.max_pool2d(F.max_pool2d(x, 5, 1, 2), 5, 1, 2))))


def test_max_pooling_keeps_the_code_of_what_it_picks_from() -> None:
    program = capture_encoder(Pyramid().eval(), frame=FRAME)
    noise = np.random.default_rng(0).standard_normal((1, 3, FRAME, FRAME), dtype=np.float32)
    ranges = observed_ranges(program, {"image": noise})
    assert ranges.by_name["max_pool2d_1"].low > ranges.by_name["silu"].low
    part = plan_int8(program, ranges, replace(AFFINE, product_db=0, function_db=0))
    pools = [line for line in part.nodes if line.node.startswith("max_pool2d")]
    mix = next(line for line in part.nodes if line.node == "conv2d_1")
    (code,) = {code for line in pools for code in (*line.inputs, line.result)}
    assert code == mix.inputs[0] == activation_code(ranges.by_name["silu"], AFFINE, name="silu")


@pytest.mark.parametrize(
    ("results", "widened", "precision"),
    [
        ("where_needed", "relu_2", Precision.FP32),
        ("where_needed", "relu_1", Precision.INT8),
        ("where_needed", None, Precision.INT8),
        ("float", "relu_2", Precision.INT8),
    ],
)
def test_a_sum_whose_codes_are_too_coarse_for_a_product_is_computed_in_float(
    program: Program, ranges: Ranges, results: str, widened: str | None, precision: Precision
) -> None:
    """ONNX Runtime's integer sums give codes, whether or not all their readers want them."""
    wide = {
        n: replace(r, usual_high=1000 * r.usual_high)
        for n, r in ranges.by_name.items()
        if n == widened
    }
    recipe = replace(UINT8, weighted=("conv2d", "conv_transpose2d"), results=results, product_db=20)
    part = plan_int8(program, replace(ranges, by_name={**ranges.by_name, **wide}), recipe)
    line = next(line for line in part.nodes if line.node == "add")
    assert line.precision is precision
    assert ("its result" in (line.reason or "")) == (precision is Precision.FP32)


class TwoResults(nn.Module):
    """Features of two scales: [1, 3, 128, 128] -> [1, 16, 64, 64] and [1, 16, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.fine = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.down = nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1)
        self.coarse = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.stem(image))
        return self.coarse(F.relu(self.down(x))), self.fine(x).sigmoid()


@pytest.mark.parametrize(
    ("head", "coded"),
    [
        (0, {"stem", "down", "coarse", "fine"}),
        (1, {"stem", "down"}),
        (2, {"stem"}),
        (3, set()),
        (9, set()),
    ],
)
def test_the_last_convolutions_stay_float(head: int, coded: set[str]) -> None:
    """The last ones before each result count as one, however many results there are."""
    contract = GraphContract(features=("image_embeddings", "fine"))
    program = capture_encoder(TwoResults().eval(), frame=FRAME, contract=contract)
    noise = np.random.default_rng(0).standard_normal((1, 3, FRAME, FRAME), dtype=np.float32)
    recipe = replace(UINT8, head=head, product_db=0)
    part = plan_int8(program, observed_ranges(program, {"image": noise}), recipe)
    layers = zip(("stem", "down", "coarse", "fine"), lines_of(part, "conv2d"), strict=True)
    assert {name for name, line in layers if line.precision is Precision.INT8} == coded


def test_a_role_that_the_recipe_leaves_out_stays_float(program: Program, ranges: Ranges) -> None:
    part = plan_int8(program, ranges, replace(UINT8, roles=(Role.DECODER,)))
    assert set(lines(part).values()) == {Precision.FP32}
    assert {line.reason for line in part.nodes} == {"recipe: the encoder stays float"}
    assert apply_int8(program, part) is program


def test_returned_nodes_carry_their_reason(program: Program, ranges: Ranges) -> None:
    part = plan_int8(program, ranges, UINT8, in_float={"conv2d_1": "search: +0.021 IoU"})
    line = next(line for line in part.nodes if line.node == "conv2d_1")
    assert (line.precision, line.reason) == (Precision.FP32, "search: +0.021 IoU")
    assert not line.inputs
    with pytest.raises(BadInput, match="no nodes conv2d_99"):
        plan_int8(program, ranges, UINT8, in_float={"conv2d_99": ""})


def test_every_int8_target_has_a_recipe_and_no_other() -> None:
    assert {t.name for t in targets() if t.int8} == {
        t.name for t in targets() if t.precision is Precision.INT8
    }
    assert "jetson-nano-int8" not in {t.name for t in targets()}


# --- applied -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [UINT8, INT8, AFFINE])
def test_the_program_computes_what_the_plan_says(
    program: Program, ranges: Ranges, image, recipe: Int8Recipe
) -> None:
    part = plan_int8(program, ranges, recipe)
    exact = Walk(program, lambda _, result: result).run(image)["image_embeddings"]
    planned = coded_walk(program, part).run(image)["image_embeddings"]
    with torch.inference_mode():
        applied = apply_int8(program, part).exported.module()(torch.from_numpy(image["image"]))
    assert decibels(exact, planned) == pytest.approx(46, abs=19)  # 64 where the table is float
    assert decibels(planned, applied.numpy()) > 55  # a step or two, rounded the other way


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x86-int8", "jetson-int8"])
def test_scales_read_back_from_the_onnx_are_the_plans(
    program: Program, ranges: Ranges, tmp_path, name: str
) -> None:
    profile = target(name)
    part = plan_int8(program, ranges, profile.int8)
    graph = lower_to_onnx(apply_int8(program, part), profile, folder=tmp_path)
    assert lint_file(graph.path, profile) == ()
    model = onnx.load(graph.path).graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.initializer}
    written = {
        round(float(held[node.input[1]]), 9)
        for node in model.node
        if node.op_type == "QuantizeLinear"
    }
    codes = [code for line in part.nodes for code in line.inputs if code]
    assert written == {round(float(np.float32(code.scale[0])), 9) for code in codes}
    stored = [
        held[n.input[0]]
        for n in model.node
        if n.op_type == "DequantizeLinear" and n.input[0] in held
    ]
    assert len(stored) == sum(line.weight is not None for line in part.nodes)
    assert {array.dtype for array in stored} == {np.dtype(np.int8)}
    zeros = {int(held[n.input[2]].max()) for n in model.node if n.op_type == "QuantizeLinear"}
    assert (zeros == {0}) == (profile.int8.activations == "int8")


def opened(program: Program, part: PartPlan, name: str, folder: Path) -> Session:
    """The program with the plan's codes, as the target's runtime opens it."""
    from edgekit.lowering import lowering
    from edgekit.runtime.opening import open_artifact

    graph = lower_to_onnx(apply_int8(program, part), target(name), folder=folder)
    files = folder / "files"
    files.mkdir()
    artifact = lowering(target(name)).lower(graph, target(name), files)
    return open_artifact(artifact, files, target(name), threads=1)


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "name"), list(UINT8_TARGETS.items()))
def test_runtimes_give_what_the_plan_says(
    program: Program, ranges: Ranges, image, tmp_path, runtime: str, name: str
) -> None:
    pytest.importorskip(runtime)
    part = plan_int8(program, ranges, UINT8)
    session = opened(program, part, name, tmp_path)
    planned = coded_walk(program, part).run(image)["image_embeddings"]
    assert decibels(planned, session.run(image)["image_embeddings"]) > 40
    files = (tmp_path / "files").iterdir()
    stored = sum(file.stat().st_size for file in files if file.suffix != ".xml")
    assert stored < 0.5 * 4 * sum(p.numel() for p in program.exported.state_dict.values())


class Loud(nn.Module):
    """Three convolutions whose operands have the largest code: [1, 3, 128, 128] -> [1, 16, 64, 64].

    On AVX2 the later ones' pairs of 8-bit products do not fit into 16 bits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(c, CHANNELS, 1) for c in (3, CHANNELS, CHANNELS))
        for layer in self.layers:
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:
        for layer in self.layers:
            image = F.relu(layer(image))
        return F.max_pool2d(image, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "name"), list(UINT8_TARGETS.items()))
def test_a_cpu_without_8_bit_sums_gives_what_one_with_them_gives(
    tmp_path, monkeypatch: pytest.MonkeyPatch, runtime: str, name: str
) -> None:
    from edgekit.runtimes import cpu

    pytest.importorskip(runtime)
    monkeypatch.setattr(cpu, "cpu_features", lambda: ("avx2",))
    loud = {"image": np.ones((1, 3, FRAME, FRAME), np.float32)}
    program = capture_encoder(Loud().eval(), frame=FRAME)
    session = opened(
        program, plan_int8(program, observed_ranges(program, loud), UINT8), name, tmp_path
    )
    np.testing.assert_allclose(session.run(loud)["image_embeddings"], 3 * CHANNELS**2, rtol=0.01)


def test_a_plan_of_another_program_is_refused(program: Program, ranges: Ranges) -> None:
    part = plan_int8(program, ranges, UINT8)
    strange = replace(part, nodes=(*part.nodes, replace(part.nodes[0], node="conv2d_99")))
    for apply in (apply_int8, coded_walk):
        with pytest.raises(BadInput, match="conv2d_99"):
            apply(program, strange)


def test_codes_for_a_graph_of_dynamic_shapes_are_refused(tiny, calibration) -> None:
    part = plan_int8(tiny().decoder, calibration.decoder, replace(UINT8, roles=(Role.DECODER,)))
    with pytest.raises(BadInput, match="number of prompts is not fixed"):
        apply_int8(tiny().decoder, part)


# --- divergence ----------------------------------------------------------------------------------


def test_nothing_diverges_in_a_sound_plan(program: Program, ranges: Ranges, image) -> None:
    assert first_divergence(program, plan_int8(program, ranges, UINT8), image) is None


def test_values_outside_the_calibrated_range_are_named(
    program: Program, ranges: Ranges, image
) -> None:
    bright = ranges.by_name["relu"]
    dark = replace(ranges, by_name={**ranges.by_name, "relu": replace(bright, usual_high=0.1)})
    found = first_divergence(program, plan_int8(program, dark, UINT8), image)
    assert found is not None
    assert re.search(r"range: \d+% of relu lies outside", found.cause)


# --- what is too coarse ---------------------------------------------------------------------------


def test_what_255_steps_would_blur_stays_float(program: Program, ranges: Ranges) -> None:
    long = replace(ranges.by_name["max_pool2d"], usual_high=100 * ranges.by_name["max_pool2d"].rms)
    stretched = replace(ranges, by_name={**ranges.by_name, "max_pool2d": long})
    found = {line.node: line for line in plan_int8(program, stretched, UINT8).nodes}
    usual = {line.node: line for line in plan_int8(program, ranges, UINT8).nodes}
    assert usual["conv2d_1"].precision is Precision.INT8
    assert found["conv2d_1"].precision is Precision.FP32
    assert re.fullmatch(r"range: 8 bits of max_pool2d leave \d+ dB", found["conv2d_1"].reason or "")
