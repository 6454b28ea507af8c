"""Whole programs, built with coremltools, saved, read back and executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("coremltools", reason="packages come from coremltools")

from edgekit.emulation.mil.evaluator import (
    OPERATORS,
    UnlikeDeclared,
    execute,
    stored,
    unknown_operators,
)
from edgekit.emulation.mil.package import Declared, MilProgram, read_package
from edgekit.runtimes.quiet import quiet_coremltools


@pytest.fixture(scope="module")
def mb() -> Any:
    """coremltools' program builder, under the name in its documentation."""
    with quiet_coremltools():
        from coremltools.converters.mil import Builder
    return Builder


@pytest.fixture
def saved(mb: Any, tmp_path: Path) -> Callable[..., MilProgram]:
    """`saved(build, x=(1, 3))` saves the program of `build` with FP32 inputs and reads it back.

    Nothing is optimised away: the program in the file is the program as built.
    """

    def made(build: object, *, system: str = "iOS17", **shapes: tuple[int, ...]) -> MilProgram:
        path = tmp_path / "some.mlpackage"
        specs = [mb.TensorSpec(shape=shape) for shape in shapes.values()]
        with quiet_coremltools() as ct:
            oldest = ct.target[system]
            ct.convert(
                mb.program(input_specs=specs, opset_version=oldest)(build),
                convert_to="mlprogram",
                minimum_deployment_target=oldest,
                compute_precision=ct.precision.FLOAT32,
                pass_pipeline=ct.PassPipeline.EMPTY,
                skip_model_load=True,
            ).save(str(path))
        return read_package(path)

    return made


def _run(program: MilProgram, **feeds: object) -> list[torch.Tensor]:
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in feeds.items()}
    return [*execute(program, tensors).values()]


def test_every_operator_of_the_table_is_apples() -> None:
    with quiet_coremltools():
        from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    assert OPERATORS.keys() <= SSAOpRegistry.core_ops.keys()


def test_fp16_results_are_rounded_and_overflow(saved, mb) -> None:
    def build(x):
        half = mb.cast(x=x, dtype="fp16")
        return mb.cast(x=mb.mul(x=half, y=np.float16(3)), dtype="fp32")

    program = saved(build, x=(3,))
    (got,) = _run(program, x=[2049.0, 1e-9, 30000.0])
    # 2049 rounds to 2048 on the way in, 1e-9 to 0, and 90000 is beyond 65504.
    assert got.tolist() == [6144, 0, float("inf")]


def test_fp32_results_are_not_rounded(saved, mb) -> None:
    program = saved(lambda x: mb.mul(x=x, y=np.float32(3)), x=(1,))
    assert _run(program, x=[2049.0])[0].item() == 6147


def test_constants_of_fp16_are_read_exactly(saved, mb) -> None:
    weight = np.array([[0.1, 0.2], [0.3, 65504]], np.float16)

    def build(x):
        half = mb.cast(x=x, dtype="fp16")
        return mb.cast(x=mb.linear(x=half, weight=weight), dtype="fp32")

    (got,) = _run(saved(build, x=(1, 2)), x=[[1.0, 0.0]])
    np.testing.assert_array_equal(got.numpy(), weight[:, 0][None].astype(np.float32))


def test_weights_in_the_blob_are_read_back(saved, mb) -> None:
    """Large constants lie in weight.bin, not in the specification."""
    weight = np.random.default_rng(0).standard_normal((64, 48), np.float32)
    program = saved(lambda x: mb.linear(x=x, weight=weight), x=(1, 48))
    (got,) = _run(program, x=np.eye(48, dtype=np.float32)[:1])
    np.testing.assert_array_equal(got.numpy(), weight[:, :1].T)


def test_compressed_weights_are_expanded(saved, mb) -> None:
    codes = np.array([[-128, 127], [3, 4]], np.int8)
    scale = np.array([[0.5], [2.0]], np.float32)

    def build(x):
        weight = mb.constexpr_blockwise_shift_scale(data=codes, scale=scale)
        return mb.linear(x=x, weight=weight)

    (got,) = _run(saved(build, system="iOS18", x=(1, 2)), x=[[1.0, 10.0]])
    assert got.tolist() == [[-64 + 635, 6 + 80]]


def test_codes_of_8_bits_between_operators(saved, mb) -> None:
    def build(x):
        codes = mb.quantize(
            input=x, scale=np.float32(0.5), zero_point=np.int8(3), output_dtype="int8"
        )
        return mb.dequantize(input=codes, scale=np.float32(0.5), zero_point=np.int8(3))

    (got,) = _run(saved(build, x=(3,)), x=[0.6, -100.0, 100.0])
    assert got.tolist() == [0.5, -65.5, 62.0]


def test_several_inputs_and_results(saved, mb) -> None:
    def build(x, y):
        total = mb.add(x=x, y=y)
        first, second = mb.split(x=mb.concat(values=(total, y), axis=0), num_splits=2, axis=0)
        return total, mb.sub(x=first, y=second)

    total, difference = _run(saved(build, x=(2,), y=(2,)), x=[1.0, 2.0], y=[10.0, 20.0])
    assert total.tolist() == [11, 22]
    assert difference.tolist() == [1, 2]


def test_tensors_are_let_go_after_their_last_use(saved, mb) -> None:
    def build(x):
        squared = mb.square(x=x)
        return mb.add(x=mb.relu(x=squared), y=squared)

    program = saved(build, x=(2,))
    square, relu, add = program.steps
    assert square.last_uses == ("x",)
    assert relu.last_uses == ()
    assert set(add.last_uses) == {square.outputs[0].name, relu.outputs[0].name}


def test_feeds_are_left_as_they_are(saved, mb) -> None:
    feeds = {"x": torch.ones(2)}
    program = saved(lambda x: mb.square(x=x), x=(2,))
    execute(program, feeds)
    assert feeds.keys() == {"x"}


def test_an_unknown_operator_is_named(saved, mb) -> None:
    program = saved(lambda x: mb.relu(x=mb.atan(x=x)), x=(2,))
    assert unknown_operators(program) == ("atan",)


def test_a_result_of_another_shape_than_declared_is_an_error() -> None:
    declared = Declared(name="a", dtype="fp32", shape=(2, None))
    assert stored(torch.zeros(2, 7), declared).shape == (2, 7)
    for wrong in (torch.zeros(3, 7), torch.zeros(2)):
        with pytest.raises(UnlikeDeclared, match=r"a has the shape"):
            stored(wrong, declared)
