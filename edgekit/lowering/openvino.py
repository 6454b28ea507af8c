"""ONNX to OpenVINO's IR: `<role>.xml` with `<role>.bin`, stored in FP32."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import GraphRejected
from edgekit.records import Artifact, Graph, Precision, Target
from edgekit.runtimes.installed import require_runtime
from edgekit.runtimes.openvino import PRECISION, last_line, silent_openvino
from edgekit.store import digest_file

if TYPE_CHECKING:
    import openvino as ov

_ROW = runtime_row("openvino")
_NOT_OPERATORS = {"Constant", "Parameter", "Result"}


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert the ONNX graph to an IR; operators and shapes are read back from what was written.

    A graph whose plan is FP32 throughout gets that hint, whatever the target's. Single nodes cannot
    be kept so: OpenVINO's mark for it (`precise` in a layer's rt_info) holds for convolutions, but
    is lost where a MatMul becomes a FullyConnected (2026.4).

    The ONNX front end is called directly: `convert_model` gives the same network and reports to
    OpenVINO's telemetry.
    """
    installed = require_runtime(_ROW, target)
    openvino = silent_openvino()
    path = folder / f"{graph.role}.xml"
    try:
        network = openvino.Core().read_model(graph.path)
    except RuntimeError as error:
        raise GraphRejected(
            f"OpenVINO {installed} cannot read the {graph.role} graph: {last_line(error)}",
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
    return {PRECISION: "f32"} if float32 else {}


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
