"""What ONNX Runtime computes from weights alone at every run: nothing in what edgekit writes.

x86-ort-int8's decoder once took twice as long as x86-ort-fp32's, with the same float graph. Casts
of float16 weights at every run would do that: ONNX Runtime must fold them when it loads the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edgekit.graph.passes.half_weights import half_weights

pytest.importorskip("torch", reason="the script also times PyTorch")

SIDE = 64
PRODUCT, KERNEL = (SIDE, SIDE), (SIDE, SIDE, 1, 1)
READERS = {
    "product": ("y = MatMul (x, w)", PRODUCT),
    "transposed product": ("t = Transpose (w)  y = MatMul (x, t)", PRODUCT),
    "gemm": ("y = Gemm <transB = 1> (x, w)", PRODUCT),
    "convolution": ("y = Conv (x, w)", KERNEL),
    "transposed convolution": ("y = ConvTranspose (x, w)", KERNEL),
    "sum": ("y = Add (x, w)", PRODUCT),
}


def graph(body: str, weight: NDArray[Any], *, constants: str = "") -> onnx.ModelProto:
    """Nodes from `x` and the stored `w` to `y`."""
    shape = "a, b, c, d"[: 3 * weight.ndim - 2]
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[{shape}] x) => (float[{shape}] y) <{constants}> {{ {body} }}""")
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


@pytest.fixture
def repeated(tmp_path: Path) -> Callable[[onnx.ModelProto], list[str]]:
    from tests.benchmarks.bench_bundle import repeated_work

    def found(model: onnx.ModelProto) -> list[str]:
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return repeated_work(path)

    return found


@pytest.mark.parametrize("reader", READERS)
def test_casts_of_half_weights_are_folded(reader: str, repeated) -> None:
    body, shape = READERS[reader]
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    stored = half_weights(graph(body, weight))
    assert [node.op_type for node in stored.graph.node].count("Cast") == 1
    assert repeated(stored) == []


def test_a_weight_that_is_dequantized_at_every_run_is_found(repeated) -> None:
    """The convolution's result is not coded, so ONNX Runtime has no integer kernel for it."""
    coded = graph(
        "f = DequantizeLinear (w, scale)  y = Conv (x, f)",
        np.ones(KERNEL, np.int8),
        constants="float scale = {0.5}",
    )
    assert repeated(coded) == ["DequantizeLinear of w"]
