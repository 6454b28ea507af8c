"""Attention in codes: which products a recipe codes, and logarithmic codes of softmax outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("scipy", reason="the techniques need the extra `techniques`")

from edgekit.catalog import target
from edgekit.graph.export import lower_to_onnx
from edgekit.precision.apply.coded_walk import coded_walk, rounded_to_code
from edgekit.precision.apply.quantizer import apply_int8
from edgekit.precision.decide.int8 import plan_int8
from edgekit.precision.techniques.softmax_codes import (
    TAUS,
    Fit,
    SoftmaxCode,
    SoftmaxSearch,
    best_code,
    fit,
    softmax_coded_walk,
)
from edgekit.program.attention import gives_scores, weighs_values
from edgekit.program.capture import Program, capture_encoder
from edgekit.program.walk import Walk, unchanged
from edgekit.records import Feeds, Int8Recipe, PartPlan, Precision
from tests.observed_ranges import observed_ranges

FRAME, CHANNELS = 64, 32
RECIPE = Int8Recipe(activations="uint8", weighted=(), attention="coded")


class Attending(nn.Module):
    """One head over 8 x 8 patches, then a product with a constant: [1, 32, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, CHANNELS, 8, 8)
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.bias = nn.Parameter(torch.randn(64, 64))
        self.mix = nn.Parameter(torch.randn(CHANNELS, CHANNELS))
        with torch.no_grad():
            self.qkv.weight[: 2 * CHANNELS] *= 5  # scores from -15 to 15: a few weights are large

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        scores = (q * CHANNELS**-0.5) @ k.transpose(-2, -1) + self.bias
        mixed = torch.softmax(scores, dim=-1) @ v
        return (mixed @ self.mix).transpose(1, 2).reshape(1, CHANNELS, 8, 8)


@pytest.fixture(scope="module")
def program() -> Program:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return capture_encoder(Attending().eval(), frame=FRAME)


@pytest.fixture(scope="module")
def image() -> Feeds:
    noise = np.random.default_rng(0)
    return {"image": noise.standard_normal((1, 3, FRAME, FRAME), dtype=np.float32)}


@pytest.fixture(scope="module")
def part(program: Program, image: Feeds) -> PartPlan:
    return plan_int8(program, observed_ranges(program, image), RECIPE)


def result(session: Walk, image: Feeds) -> np.ndarray:
    return session.run(image)["image_embeddings"]


def test_the_products_around_a_softmax_are_found(program: Program) -> None:
    products = [n for n in program.exported.graph.nodes if n.name.startswith("matmul")]
    assert [gives_scores(node) for node in products] == [True, False, False]
    assert [weighs_values(node) for node in products] == [False, True, False]


def test_a_recipe_codes_both_operands_of_both_products(part: PartPlan) -> None:
    coded = {line.node: line for line in part.nodes if line.precision is Precision.INT8}
    assert coded.keys() == {"matmul", "matmul_1"}
    for line in coded.values():
        assert len([code for code in line.inputs if code]) == 2
        assert line.weight is None


@pytest.mark.slow
def test_a_runtime_gives_what_a_plan_of_attention_says(
    program: Program, part: PartPlan, image: Feeds, tmp_path
) -> None:
    from edgekit.lowering import lowering
    from edgekit.runtime.opening import open_artifact
    from edgekit.runtimes.openvino import PRECISION

    pytest.importorskip("openvino")
    profile, files = target("x86-int8"), tmp_path / "files"
    # The plan is of codes alone; on a CPU with BF16 this target rounds what is between them too.
    profile = replace(profile, options={**profile.options, PRECISION: "f32"})
    files.mkdir()
    graph = lower_to_onnx(apply_int8(program, part), profile, folder=tmp_path)
    artifact = lowering(profile).lower(graph, profile, files)
    session = open_artifact(artifact, files, profile, threads=1)
    planned, ran = result(coded_walk(program, part), image), result(session, image)
    exact = result(Walk(program, unchanged), image)
    # A score that is rounded the other way moves a whole row of weights.
    assert np.square(planned - ran).sum() < 0.1 * np.square(planned - exact).sum()


# --- logarithmic codes ---------------------------------------------------------------------------


def test_each_value_is_a_power_below_the_scale() -> None:
    code = SoftmaxCode(tau=2, scale=0.5, bits=3)
    values = torch.tensor([1.0, 0.5, 0.36, 0.25, 0.5 * 2**-3.5, 0.5 * 2**-4.2, 0.0])
    wanted = torch.tensor([0.5, 0.5, 0.5 * 2**-0.5, 0.25, 0.5 * 2**-3.5, 0.0, 0.0])
    torch.testing.assert_close(code.rounded(values), wanted)


def test_a_search_takes_the_tau_with_the_smallest_error(program: Program, image: Feeds) -> None:
    fits: dict[int, Fit] = {}

    def note(node, operands: tuple) -> tuple:
        if weighs_values(node):
            fits.update({tau: fit(*operands, tau=tau) for tau in TAUS})
        return operands

    Walk(program, unchanged, on_operands=note).run(image)
    search = SoftmaxSearch(program)
    search.run(image)
    best = min(fits.values(), key=lambda each: each.error)
    assert search.codes() == {"matmul_1": best.code}


def test_the_scale_is_the_mean_over_runs_and_errors_add_up() -> None:
    fits = {
        1: [Fit(code=SoftmaxCode(tau=1, scale=0.5), error=1.0)] * 2,
        2: [
            Fit(code=SoftmaxCode(tau=2, scale=0.2), error=0.1),
            Fit(code=SoftmaxCode(tau=2, scale=0.6), error=1.5),
        ],
        4: [Fit(code=SoftmaxCode(tau=4, scale=0.5), error=0.9)] * 2,
    }
    assert best_code(fits) == SoftmaxCode(tau=2, scale=pytest.approx(0.4))


def test_the_codes_stand_in_for_the_plans_and_the_values_keep_theirs(
    program: Program, part: PartPlan, image: Feeds
) -> None:
    code, seen = SoftmaxCode(tau=4, scale=0.9), {}

    def note(node, values: Tensor) -> Tensor:
        seen[node.name] = values.clone()
        return values

    coded_walk(program, part, note).run(image)
    line = next(line for line in part.nodes if line.node == "matmul_1")
    values = rounded_to_code(seen["linear"].chunk(3, dim=-1)[2], line.inputs[1])
    wanted = code.rounded(seen["softmax"]) @ values

    softmax_coded_walk(program, part, {"matmul_1": code}, note).run(image)
    torch.testing.assert_close(seen["matmul_1"], wanted)
