"""ONNX Runtime on the CPU: the artifact is the ONNX file itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.feeds import checked_feeds
from edgekit.backends.installed import probe_package, require_runtime
from edgekit.errors import BundleCorrupt
from edgekit.records import (
    Artifact,
    Feeds,
    FloatArray,
    Graph,
    Probe,
    Session,
    Target,
    TensorSpec,
)
from edgekit.store import digest_file

if TYPE_CHECKING:
    import onnxruntime as ort

_PACKAGE = "onnxruntime"


def probe() -> Probe:
    """Whether ONNX Runtime is installed."""
    return probe_package(_PACKAGE)


def lower(graph: Graph, target: Target, folder: Path) -> Artifact:
    """Copy the graph to `<role>.onnx`; what it holds is what the graph's record says."""
    require_runtime(_PACKAGE, target)
    path = folder / f"{graph.role}.onnx"
    shutil.copyfile(graph.path, path)
    return Artifact(
        role=graph.role,
        format="onnx",
        entry=path.name,
        files=(digest_file(path, folder),),
        inputs=graph.inputs,
        outputs=graph.outputs,
        ops=graph.ops,
    )


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load `<role>.onnx` with all graph optimizations; `target.options` are session entries."""
    installed = require_runtime(_PACKAGE, target)
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors; its warnings are about its own optimizer
    for key, value in target.options.items():
        options.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(
            folder / artifact.entry, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # pybind classes that share no other base
        raise BundleCorrupt(
            f"ONNX Runtime {installed} cannot load {artifact.entry}: {_first_line(error)}",
            next_step="export the bundle again",
        ) from error
    return _OrtSession(session, artifact.inputs)


class _OrtSession:
    def __init__(self, session: ort.InferenceSession, inputs: tuple[TensorSpec, ...]) -> None:
        self._session = session
        self._inputs = inputs
        self._outputs = [value.name for value in session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; the arrays returned are the runtime's own, fresh for each call."""
        results = self._session.run(self._outputs, checked_feeds(feeds, self._inputs))
        return dict(zip(self._outputs, results, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
