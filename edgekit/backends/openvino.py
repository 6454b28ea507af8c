"""OpenVINO on the CPU: the artifact is an IR, `<role>.xml` with `<role>.bin`, in FP32."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgekit.backends.feeds import checked_feeds
from edgekit.backends.installed import probe_package, require_runtime
from edgekit.errors import BundleCorrupt, GraphRejected
from edgekit.records import (
    NATIVE,
    Artifact,
    Execution,
    Feeds,
    FloatArray,
    Graph,
    Precision,
    Probe,
    Session,
    Target,
    TensorSpec,
)
from edgekit.store import digest_file

if TYPE_CHECKING:
    import openvino as ov

_PACKAGE = "openvino"
_TELEMETRY = "openvino_telemetry"
_PRECISION = "INFERENCE_PRECISION_HINT"
_NOT_OPERATORS = {"Constant", "Parameter", "Result"}


def probe() -> Probe:
    """Whether OpenVINO is installed."""
    return probe_package(_PACKAGE)


def execution(_: Target) -> Execution:
    """It is the target's own runtime."""
    return NATIVE


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert the ONNX graph to an IR; operators and shapes are read back from what was written.

    A graph whose plan is FP32 throughout gets that hint, whatever the target's. Single nodes cannot
    be kept so: OpenVINO's mark for it (`precise` in a layer's rt_info) holds for convolutions, but
    is lost where a MatMul becomes a FullyConnected (2026.4).

    The ONNX front end is called directly: `convert_model` gives the same network and reports to
    OpenVINO's telemetry.
    """
    installed = require_runtime(_PACKAGE, target)
    openvino = _silent_openvino()
    path = folder / f"{graph.role}.xml"
    try:
        network = openvino.Core().read_model(graph.path)
    except RuntimeError as error:
        raise GraphRejected(
            f"OpenVINO {installed} cannot read the {graph.role} graph: {_cause(error)}",
            expected="operators of its ONNX front end",
        ) from error
    _name_by_position(network)
    openvino.save_model(network, path, compress_to_fp16=False)
    written = openvino.Core().read_model(path)
    _require_interface(written, graph)
    operators = Counter(op.get_type_name() for op in written.get_ordered_ops())
    return Artifact(
        role=graph.role,
        format="openvino-ir",
        entry=path.name,
        files=tuple(digest_file(file, folder) for file in (path, path.with_suffix(".bin"))),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops={name: n for name, n in sorted(operators.items()) if name not in _NOT_OPERATORS},
        options=_own_options(graph, target),
    )


def _own_options(graph: Graph, target: Target) -> dict[str, str]:
    """What one graph asks for in place of the target's options: f32, where its plan is all FP32.

    Of INT8 the graph itself tells: without codes it was planned to stay float, and BF16 in the
    decoder costs more IoU than INT8 in the encoder (NanoSAM: 0.989 against 0.979).
    """
    if target.precision is Precision.INT8:
        float32 = "QuantizeLinear" not in graph.ops
    else:
        float32 = graph.plan is not None and graph.plan.all_fp32
    return {_PRECISION: "f32"} if float32 else {}


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Compile the IR for latency; `target.options` are its properties, precision among them.

    "bf16 or f32" for the precision means bf16 on a CPU that has instructions for it.
    """
    installed = require_runtime(_PACKAGE, target)
    core = _silent_openvino().Core()
    properties: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
    properties |= {**target.options, **artifact.options}
    if properties.get(_PRECISION) == "bf16 or f32":
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        properties[_PRECISION] = "bf16" if "BF16" in able else "f32"
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = core.compile_model(folder / artifact.entry, "CPU", properties)
    except RuntimeError as error:
        raise BundleCorrupt(
            f"OpenVINO {installed} cannot load {artifact.entry}: {_cause(error)}",
            next_step="export the bundle again",
        ) from error
    return _OpenvinoSession(compiled, artifact.inputs)


class _OpenvinoSession:
    def __init__(self, compiled: ov.CompiledModel, inputs: tuple[TensorSpec, ...]) -> None:
        self._request = compiled.create_infer_request()
        self._inputs = inputs

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; results are copied, since the request reuses its output buffers."""
        results = self._request.infer(
            checked_feeds(feeds, self._inputs), share_inputs=True, share_outputs=False
        )
        return {port.any_name: array for port, array in results.items()}


def _silent_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which reports every import and makes `~/intel`.

    It has a stand-in for when the telemetry package is absent, and None says that it is.
    """
    absent = _TELEMETRY not in sys.modules
    if absent:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if absent:
            del sys.modules[_TELEMETRY]
    return openvino  # type: ignore[no-any-return]


def _name_by_position(network: ov.Model) -> None:
    """Rename nodes that got their name from a counter of the process: the file repeats then."""
    for index, op in enumerate(network.get_ordered_ops()):
        if op.get_friendly_name() == op.get_name():
            op.set_friendly_name(f"{op.get_type_name()}.{index}")


def _require_interface(model: ov.Model, graph: Graph) -> None:
    """The IR does not keep the names of dynamic dimensions, so the record's are checked for fit."""
    for port, spec in zip(
        (*model.inputs, *model.outputs), (*graph.inputs, *graph.outputs), strict=True
    ):
        sizes = [d.get_length() if d.is_static else None for d in port.partial_shape]
        if spec.name not in port.names or sizes != [
            d if isinstance(d, int) else None for d in spec.shape
        ]:
            raise GraphRejected(
                f"OpenVINO made {sorted(port.names)} {port.partial_shape} of a tensor.",
                expected=f"{spec.name} {list(spec.shape)}",
            )


def _cause(error: Exception) -> str:
    """The last line of the message: those before it name OpenVINO's own source files."""
    return str(error).strip().rpartition("\n")[2]
