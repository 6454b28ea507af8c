"""The CPU's peak: multiply-accumulates (MACs) per second of convolutions and of matrix products.

SAM encoders consist of both. The sizes are such that weights and activations fit the caches, so
that only arithmetic counts. OpenVINO runs them because its kernels were the fastest measured. An
encoder's own rate divided by the peak says how much there is left to gain.

The peak takes turns with the contestants. Measured once after them, on a machine that had become
busy, it was less than half of what an encoder had reached before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmark.idle import wait_until_idle
from edgekit.records import Precision

if TYPE_CHECKING:
    import openvino as ov

PRECISIONS = (Precision.FP32, Precision.BF16, Precision.INT8)
_CHANNELS, _SIDE, _LAYERS = 256, 64, 4
_GEMM = 1024


class MachinePeak:
    """The most MACs per second in all turns so far, by precision, in `rates`.

    Empty if OpenVINO is not installed. OpenVINO emulates a precision that the CPU has no
    instructions for, so its rate is low.
    """

    def __init__(self, threads: int) -> None:
        """`threads` are the CPU threads that OpenVINO uses."""
        self.rates: dict[Precision, float] = {}
        try:
            self._loads = _loads(threads)
        except ImportError:
            self._loads = ()

    def take_turn(self) -> None:
        """Run everything once. The best counts: other work on the machine only ever adds time."""
        for load in self._loads:
            rate = load.macs / load.seconds()
            self.rates[load.precision] = max(rate, self.rates.get(load.precision, 0.0))
        wait_until_idle()


def share_of_peak(
    macs: int | None, seconds: float | None, precision: Precision, peak: Mapping[Precision, float]
) -> float | None:
    """The share of the peak that a graph reaches, 1 for all of it; None if a figure is unknown.

    Args:
        macs: multiply-accumulates of one run.
        seconds: of one run.
        precision: what the graph computes in.
        peak: the rates of `MachinePeak`.
    """
    if not macs or not seconds or precision not in peak:
        return None
    return macs / seconds / peak[precision]


class _Load:
    """A network of nothing but arithmetic in one precision."""

    def __init__(self, network: ov.Model, precision: Precision, *, macs: int, threads: int) -> None:
        import openvino

        self.precision = precision
        self.macs = macs
        properties = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision is Precision.BF16 else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(network, "CPU", properties)
        self._request = compiled.create_infer_request()
        shape = list(network.inputs[0].shape)
        self._data = np.random.default_rng(0).random(shape, dtype=np.float32)

    def seconds(self) -> float:
        """Run once; returns the seconds that it took."""
        start = time.perf_counter()
        self._request.infer([self._data], share_inputs=True)
        return time.perf_counter() - start


def _loads(threads: int) -> tuple[_Load, ...]:
    kinds = (
        (_convolutions, _LAYERS * _SIDE**2 * _CHANNELS**2 * 9),
        (_gemms, _LAYERS * _GEMM**3),
    )
    return tuple(
        _Load(network(precision), precision, macs=macs, threads=threads)
        for precision in PRECISIONS
        for network, macs in kinds
    )


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
