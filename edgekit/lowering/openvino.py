"""Convert ONNX to OpenVINO's IR: `<role>.xml` with `<role>.bin`, stored in FP32."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import GraphRejected
from edgekit.lowering.precise_marks import fuse_before_marks, has_waves, mark_waves
from edgekit.records import Artifact, Graph, Precision, Target
from edgekit.runtimes.installed import require_runtime
from edgekit.runtimes.openvino import PRECISION, last_line, silent_openvino
from edgekit.store import digest_file

if TYPE_CHECKING:
    import openvino as ov

_ROW = runtime_row("openvino")
_NOT_OPERATORS = {"Constant", "Parameter", "Result"}
_COUNTED = re.compile(r"[A-Z][A-Za-z]*_\d+")


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Convert the ONNX graph to an IR; operators and shapes are read back from the files.

    Raises:
        RuntimeMissing: OpenVINO is not installed, or not of a version that the target accepts.
        GraphRejected: OpenVINO cannot read the graph, or the interface of the IR differs.
    """
    installed = require_runtime(_ROW, target)
    openvino = silent_openvino()
    path = folder / f"{graph.role}.xml"
    try:
        # Not `convert_model` (2026.4): it gives the same network and reports to telemetry.
        network = openvino.Core().read_model(graph.path)
    except RuntimeError as error:
        raise GraphRejected(
            f"OpenVINO {installed} cannot read the {graph.role} graph: {last_line(error)}",
            expected="operators of its ONNX front end",
        ) from error
    options = _own_options(graph, target)
    precision = {**target.options, **options}.get(PRECISION, "")
    marks = "bf16" in precision and has_waves(network)
    if marks:
        fuse_before_marks(network)
    _name_by_position(network)
    # save_model stores weights as FP16 by default.
    openvino.save_model(network, path, compress_to_fp16=False)
    if marks:
        mark_waves(path)
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
        options=options,
    )


def _own_options(graph: Graph, target: Target) -> dict[str, str]:
    """The options of one graph that override the target's: f32 if its plan is FP32 throughout.

    For an INT8 target that is a graph with neither codes nor a plan in BF16.
    """
    if target.precision is Precision.INT8:
        float32 = "QuantizeLinear" not in graph.ops and graph.plan is None
    else:
        float32 = graph.plan is not None and graph.plan.all_fp32
    return {PRECISION: "f32"} if float32 else {}


def _name_by_position(network: ov.Model) -> None:
    """Rename nodes whose names come from a counter of the process, so that the file repeats."""
    # OpenVINO 2026.4 names an unnamed node "Type_123" by a counter of the process. A node that
    # replaced others can have the name of one of them.
    for index, op in enumerate(network.get_ordered_ops()):
        if _COUNTED.fullmatch(op.get_friendly_name()):
            op.set_friendly_name(f"{op.get_type_name()}.{index}")


def _require_interface(model: ov.Model, graph: Graph) -> None:
    """Compare names and sizes. The IR does not keep the names of dynamic dimensions."""
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
