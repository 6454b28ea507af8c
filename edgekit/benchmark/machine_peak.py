"""The CPU's peak: multiply-accumulates (MACs) per second of convolutions and of matrix products.

SAM encoders consist of both. The sizes are such that weights and activations fit the caches, so
that only arithmetic counts. OpenVINO runs them because its kernels were the fastest measured. An
encoder's own rate divided by the peak says how much there is left to gain.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.records import Precision

if TYPE_CHECKING:
    import openvino as ov

PRECISIONS = (Precision.FP32, Precision.BF16, Precision.INT8)
_CHANNELS, _SIDE, _LAYERS = 256, 64, 4
_GEMM = 1024
_RUNS = 7


def machine_peak(threads: int) -> dict[Precision, float]:
    """MACs per second, by precision. Empty if OpenVINO is not installed.

    OpenVINO emulates a precision that the CPU has no instructions for, so its figure is low.

    Args:
        threads: CPU threads that OpenVINO uses.
    """
    try:
        import openvino  # noqa: F401
    except ImportError:
        return {}
    return {precision: _peak(precision, threads) for precision in PRECISIONS}


def share_of_peak(
    macs: int | None, seconds: float | None, precision: Precision, peak: Mapping[Precision, float]
) -> float | None:
    """The share (0 to 1) of the peak that a graph reaches; None if a figure is unknown.

    Args:
        macs: multiply-accumulates of one run.
        seconds: of one run.
        precision: what the graph computes in.
        peak: as `machine_peak` returns.
    """
    if not macs or not seconds or precision not in peak:
        return None
    return macs / seconds / peak[precision]


def _peak(precision: Precision, threads: int) -> float:
    convolution = _LAYERS * _SIDE**2 * _CHANNELS**2 * 9
    gemm = _LAYERS * _GEMM**3
    return max(
        convolution / _seconds(_convolutions(precision), precision, threads),
        gemm / _seconds(_gemms(precision), precision, threads),
    )


def _seconds(network: ov.Model, precision: Precision, threads: int) -> float:
    """The fastest of several runs: other work on the machine only ever adds time."""
    import openvino

    hint = "bf16" if precision is Precision.BF16 else "f32"
    properties = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(network, "CPU", properties).create_infer_request()
    data = np.random.default_rng(0).random(list(network.inputs[0].shape), dtype=np.float32)
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        request.infer([data], share_inputs=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _convolutions(precision: Precision) -> ov.Model:
    from openvino import Model, opset13

    x = data = opset13.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32)
    for layer in range(_LAYERS):
        weights = _weights((_CHANNELS, _CHANNELS, 3, 3), layer, precision)
        x = opset13.convolution(_quantized(x, precision), weights, [1, 1], [1, 1], [1, 1], [1, 1])
    return Model([x], [data])


def _gemms(precision: Precision) -> ov.Model:
    from openvino import Model, opset13

    x = data = opset13.parameter([_GEMM, _GEMM], np.float32)
    for layer in range(_LAYERS):
        weights = _weights((_GEMM, _GEMM), layer, precision)
        x = opset13.matmul(_quantized(x, precision), weights, False, False)
    return Model([x], [data])


def _weights(shape: tuple[int, ...], seed: int, precision: Precision) -> Any:
    from openvino import opset13

    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    values /= np.float32(np.sqrt(np.prod(shape[1:])))
    constant = opset13.constant(values)
    if precision is not Precision.INT8:
        return constant
    return _fake_quantize(constant, low=-4.0 * values.std(), high=4.0 * values.std(), levels=255)


def _quantized(x: Any, precision: Precision) -> Any:
    return _fake_quantize(x, low=-4.0, high=4.0, levels=256) if precision is Precision.INT8 else x


def _fake_quantize(x: Any, *, low: float, high: float, levels: int) -> Any:
    from openvino import opset13

    bounds = [np.float32(low), np.float32(high)] * 2
    return opset13.fake_quantize(x, *bounds, levels)
