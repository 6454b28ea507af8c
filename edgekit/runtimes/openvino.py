"""OpenVINO on the CPU: the artifact is an IR, `<role>.xml` with `<role>.bin`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import BundleCorrupt
from edgekit.records import (
    Artifact,
    Execution,
    Feeds,
    FloatArray,
    Probe,
    Session,
    Target,
)
from edgekit.runtimes.feeds import cannot_run, checked_feeds
from edgekit.runtimes.installed import native_if, probe_row, require_runtime
from edgekit.runtimes.interface import Found, require_interface

if TYPE_CHECKING:
    import openvino as ov

_ROW = runtime_row("openvino")
_MOST_ELEMENTS = 2**29
"""The most elements that a tensor may have; attention in ViT-H has 2**28."""
_TELEMETRY = "openvino_telemetry"
PRECISION = "INFERENCE_PRECISION_HINT"
"""The property that sets the precision of float operators."""
_CODED_WEIGHTS = "coded weights"
"""An option of edgekit's own: "f32" multiplies codes in float, whose sums do not saturate."""


def probe() -> Probe:
    """Whether OpenVINO is installed."""
    return probe_row(_ROW)


def execution(_: Target) -> Execution:
    """Native if OpenVINO is installed."""
    return native_if(probe())


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Compile the IR for latency. `target.options` are OpenVINO properties.

    The precision "bf16 or f32" means bf16 on a CPU with BF16 instructions, and f32 elsewhere.
    """
    installed = require_runtime(_ROW, target)
    core = silent_openvino().Core()
    properties: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
    # The options set the precision: OpenVINO's default is bf16 on a CPU that has it (2026.4), and
    # bf16 gives 37 to 51 dB against torch where f32 gives over 100.
    properties |= {**target.options, **artifact.options}
    if properties.get(PRECISION) == "bf16 or f32":
        # Without such instructions OpenVINO 2026.4 emulates BF16, slower than f32.
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        properties[PRECISION] = "bf16" if "BF16" in capabilities else "f32"
    weights_in_float = properties.pop(_CODED_WEIGHTS, None) == "f32"
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        network = core.read_model(folder / artifact.entry)
        _require_bounded(network)
        if weights_in_float:
            _decode_weights(network)
        compiled = core.compile_model(network, "CPU", properties)
        takes, gives = _tensors(compiled.inputs), _tensors(compiled.outputs)
    except Exception as error:  # RuntimeError; for names and types that Python lacks, others too
        raise BundleCorrupt(
            f"OpenVINO {installed} cannot load {artifact.entry}: {last_line(error)}",
            next_step="export the bundle again",
        ) from error
    require_interface(artifact, takes=takes, gives=gives)
    return _OpenvinoSession(compiled, artifact)


def _require_bounded(network: ov.Model) -> None:
    """Refuse a tensor that no model has, before OpenVINO takes memory for it.

    Raises:
        ValueError: a tensor has more than `_MOST_ELEMENTS` in its static sizes.
    """
    for op in network.get_ops():
        for port in op.outputs():
            shape = port.get_partial_shape()
            if shape.rank.is_dynamic:
                continue
            elements = math.prod(size.get_length() for size in shape if size.is_static)
            if elements > _MOST_ELEMENTS:
                raise ValueError(f"{op.get_friendly_name()} has {elements:.1e} elements")


def _decode_weights(network: ov.Model) -> None:
    """Replace weights of 8 bits by the same numbers in float.

    OpenVINO multiplies in 8 bits only where the weights have 8. Its property LP_TRANSFORMS_MODE=NO
    does the same, but then cannot compile SqueezeSAM's encoder (2026.4).
    """
    openvino = silent_openvino()
    for op in network.get_ops():
        if op.get_type_name() != "Convert":
            continue
        codes = op.input_value(0).get_node()
        if codes.get_type_name() == "Constant" and codes.get_element_type().size == 1:
            numbers = codes.data.astype(op.get_output_element_type(0).to_dtype())
            openvino.utils.replace_node(op, openvino.op.Constant(numbers))


def _tensors(ports: Iterable[ov.ConstOutput]) -> dict[str, Found]:
    return {port.any_name: _tensor(port) for port in ports}


def _tensor(port: ov.ConstOutput) -> Found:
    dtype = str(port.get_element_type().to_dtype())
    if port.partial_shape.rank.is_dynamic:
        return Found(dtype=dtype)
    sizes = (None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Found(dtype=dtype, shape=tuple(sizes))


class _OpenvinoSession:
    def __init__(self, compiled: ov.CompiledModel, artifact: Artifact) -> None:
        self._request = compiled.create_infer_request()
        self._artifact = artifact

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run. Results are copied, since the request reuses its output buffers."""
        arrays = checked_feeds(feeds, self._artifact.inputs)
        try:
            results = self._request.infer(arrays, share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise cannot_run(self._artifact, error) from error
        return {port.any_name: array for port, array in results.items()}


def silent_openvino() -> ModuleType:
    """OpenVINO, imported without its telemetry."""
    # openvino_telemetry reports every import over the network and writes to ~/intel. OpenVINO
    # 2026 runs without the package, and None in sys.modules makes its import fail.
    block = _TELEMETRY not in sys.modules
    if block:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if block:
            del sys.modules[_TELEMETRY]
    return openvino  # type: ignore[no-any-return]


def last_line(error: Exception) -> str:
    """The last line of the message. The lines before it name OpenVINO's source files."""
    return str(error).strip().rpartition("\n")[2]
