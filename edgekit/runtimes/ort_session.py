"""A session of ONNX Runtime's CPU provider, for its own files or as a stand-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import BundleCorrupt
from edgekit.records import Artifact, Feeds, FloatArray
from edgekit.runtimes.feeds import cannot_run, checked_feeds
from edgekit.runtimes.interface import Found, require_interface

if TYPE_CHECKING:
    from onnxruntime import NodeArg

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
"""Types that ONNX Runtime names otherwise than NumPy."""


class OrtSession:
    """A session over one artifact with all graph optimizations."""

    def __init__(
        self,
        model: Path | bytes,
        artifact: Artifact,
        *,
        threads: int | None,
        entries: Mapping[str, str],
    ) -> None:
        """Load the model. `entries` are session configuration entries.

        Raises:
            BundleCorrupt: ONNX Runtime cannot load the model, or it is not the artifact's.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads or 0  # 0: ONNX Runtime chooses
        options.log_severity_level = 3  # errors only: warnings are about its own optimizer
        # Otherwise the encoder's threads stay awake for 50 ms after a call (1.31), on the cores
        # that the decoder needs: the first prompt then takes twice as long.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        for key, value in entries.items():
            options.add_session_config_entry(key, value)
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            takes, gives = _tensors(session.get_inputs()), _tensors(session.get_outputs())
        except Exception as error:  # ONNX Runtime's exceptions share no other base class
            raise unreadable(artifact, error) from error
        require_interface(artifact, takes=takes, gives=gives)
        self._session = session
        self._artifact = artifact
        self._outputs = [*gives]

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run. The runtime allocates new arrays for each call."""
        arrays = checked_feeds(feeds, self._artifact.inputs)
        try:
            results = self._session.run(self._outputs, arrays)
        except Exception as error:  # as in __init__
            raise cannot_run(self._artifact, error) from error
        return dict(zip(self._outputs, results, strict=True))


def _tensors(values: Iterable[NodeArg]) -> dict[str, Found]:
    return {value.name: _tensor(value) for value in values}


def _tensor(value: NodeArg) -> Found:
    dtype = _DTYPES.get(value.type) or value.type.removeprefix("tensor(").removesuffix(")")
    # A dynamic size has a name or None. A scalar and a tensor without a shape look alike.
    sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Found(dtype=dtype, shape=sizes or None)


def unreadable(artifact: Artifact, error: Exception) -> BundleCorrupt:
    """The error for a file that cannot be loaded."""
    from importlib.metadata import version

    cause = str(error).strip().partition("\n")[0]
    return BundleCorrupt(
        f"ONNX Runtime {version('onnxruntime')} cannot load {artifact.entry}: {cause}",
        next_step="export the bundle again",
    )
