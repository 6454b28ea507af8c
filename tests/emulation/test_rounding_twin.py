"""Graphs whose results show that each FP16 operator rounds exactly once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit import catalog
from edgekit.emulation import tensorrt
from edgekit.errors import BadInput, BundleCorrupt
from edgekit.records import Artifact, Role, TensorSpec
from edgekit.store import digest_file

SIZE = (4,)


@pytest.fixture
def emulate(tmp_path: Path):
    """`emulate(body, x)`: the result of a graph in ONNX text, run as a TensorRT artifact."""

    def session(body: str):
        text = f'<ir_version: 10, opset_import: ["" : 20]> g (float[4] x) => (float[4] y) {body}'
        path = tmp_path / "encoder.onnx"
        onnx.save(onnx.parser.parse_model(text), path)
        artifact = Artifact(
            role=Role.ENCODER,
            format="onnx",
            entry=path.name,
            files=(digest_file(path, tmp_path),),
            inputs=(TensorSpec(name="x", dtype="float32", shape=SIZE),),
            outputs=(TensorSpec(name="y", dtype="float32", shape=SIZE),),
            ops={},
        )
        return tensorrt.open_artifact(artifact, tmp_path, catalog.target("jetson-fp16"), threads=1)

    def run(body: str, x: np.ndarray) -> np.ndarray:
        return session(body).run({"x": x})["y"]

    run.session = session
    return run


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def half(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def test_each_operator_of_a_chain_rounds(emulate) -> None:
    """FP16 has no 2049: the 1 is lost in the first sum, and float32 would keep it."""
    chain = """{
        h = Cast <to = 10> (x)
        up = Constant <value = float {1.0}> ()
        down = Constant <value = float {-2048.0}> ()
        one = Cast <to = 10> (up)
        minus = Cast <to = 10> (down)
        a = Add (h, one)
        b = Add (a, minus)
        y = Cast <to = 1> (b)
    }"""
    x = values(2048, 1000.3, 3, -7.7)
    expected = half(half(half(x) + 1) - 2048)
    np.testing.assert_array_equal(emulate(chain, x), expected)
    assert expected[0] == 0
    assert (x + 1 - 2048)[0] == 1


def test_an_overflow_is_infinite_and_stays_so(emulate) -> None:
    chain = """{
        h = Cast <to = 10> (x)
        s = Mul (h, h)
        r = Sqrt (s)
        y = Cast <to = 1> (r)
    }"""
    result = emulate(chain, values(255, 256, -300, 1))
    np.testing.assert_array_equal(result, values(255, np.inf, np.inf, 1))


def test_what_is_too_small_is_zero(emulate) -> None:
    chain = "{ h = Cast <to = 10> (x) s = Mul (h, h) r = Sqrt (s) y = Cast <to = 1> (r) }"
    assert emulate(chain, values(1e-4, 1, 2, 3))[0] == 0


def test_an_fp32_island_is_not_rounded(emulate) -> None:
    chain = """{
        s = Mul (x, x)
        r = Sqrt (s)
        h = Cast <to = 10> (r)
        y = Cast <to = 1> (h)
    }"""
    x = values(300, 1e-4, 60000, 3)
    np.testing.assert_array_equal(emulate(chain, x), half(x))


def test_weights_are_those_of_the_file(emulate) -> None:
    """A sum of products is exact and rounded once at the end, as with FP32 accumulators."""
    ones = ", ".join(["15360"] * 16)  # ONNX's text format takes FP16 as bits: 0x3C00 is 1.0
    chain = f"""<float16[4, 4] w = {{{ones}}}> {{
        h = Cast <to = 10> (x)
        p = MatMul (h, w)
        y = Cast <to = 1> (p)
    }}"""
    x = values(2048, 1, 1, 0)  # rounded after each addition it would stay 2048
    np.testing.assert_array_equal(emulate(chain, x), np.full(4, 2050, np.float32))


def test_a_quantized_graph_runs_as_it_is(emulate) -> None:
    chain = """<float scale = {0.5}, int8 zero = {0}> {
        q = QuantizeLinear (x, scale, zero)
        y = DequantizeLinear (q, scale, zero)
    }"""
    result = emulate(chain, values(0.3, 1.1, 500, -500))
    np.testing.assert_array_equal(result, values(0.5, 1.0, 63.5, -64))


def test_a_damaged_file_is_a_corrupt_bundle(emulate, tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"encoder\.onnx"):
        emulate.session("{ y = NoSuchOperator (x) }")


def test_wrong_feeds_are_rejected(emulate) -> None:
    with pytest.raises(BadInput, match="float64"):
        emulate("{ y = Relu (x) }", np.zeros(4))
