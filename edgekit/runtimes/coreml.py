"""Core ML on macOS: coremltools runs a `.mlpackage`."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgekit.catalog.options import option
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
from edgekit.runtimes.quiet import quiet_coremltools

_ROW = runtime_row("coreml")
_DTYPES = {"double": "float64"}
_NOT_MACOS = "Core ML is part of macOS and iOS"


def probe() -> Probe:
    """Whether this is macOS with coremltools."""
    if platform.system() != "Darwin":
        return Probe(available=False, reason=_NOT_MACOS)
    return probe_row(_ROW)


def execution(_: Target) -> Execution:
    """Native on macOS."""
    return native_if(probe())


def open_artifact(
    artifact: Artifact,
    folder: Path,
    target: Target,
    *,
    threads: int | None,  # noqa: ARG001
) -> Session:
    """Load a package on the target's compute units. `threads` is ignored: Core ML has no setting.

    Raises:
        RuntimeMissing: coremltools is not installed, or of another version.
        BundleCorrupt: files are missing or cannot be read.
    """
    installed = require_runtime(_ROW, target)
    try:
        with quiet_coremltools() as coremltools:
            units = coremltools.ComputeUnit[option(target, "compute_units")]
            model = coremltools.models.MLModel(str(folder / artifact.entry), compute_units=units)
        description = model.get_spec().description
        takes, gives = _tensors(description.input), _tensors(description.output)
    except Exception as error:  # coremltools 9.0 has no exception class of its own
        cause = str(error).strip().partition("\n")[0]
        raise BundleCorrupt(
            f"coremltools {installed} cannot load {artifact.entry}: {cause}",
            next_step="export the bundle again",
        ) from error
    require_interface(artifact, takes=takes, gives=gives)
    return CoreMlSession(model, artifact)


def _tensors(features: Iterable[Any]) -> dict[str, Found]:
    return {feature.name: _tensor(feature.type) for feature in features}


def _tensor(kind: Any) -> Found:
    """From a feature type of the package's specification. Outputs may be without a shape."""
    if kind.WhichOneof("Type") != "multiArrayType":
        return Found(dtype=kind.WhichOneof("Type"))
    array = kind.multiArrayType
    name = array.ArrayDataType.Name(array.dataType).lower()
    dynamic = array.WhichOneof("ShapeFlexibility")  # then `shape` is one of several
    return Found(
        dtype=_DTYPES.get(name, name), shape=None if dynamic else tuple(array.shape) or None
    )


class Model(Protocol):
    """The part of coremltools' MLModel that a session uses."""

    def get_spec(self) -> Any:
        """The specification, a protobuf message."""

    def predict(self, data: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once; arrays by name."""


class CoreMlSession:
    """A session over a model that Core ML has loaded."""

    def __init__(self, model: Model, artifact: Artifact) -> None:
        self._model = model
        self._artifact = artifact

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; results are float32 whatever the package computes in."""
        arrays = checked_feeds(feeds, self._artifact.inputs)
        try:
            results = self._model.predict(arrays)
        except Exception as error:  # as in open_artifact
            raise cannot_run(self._artifact, error) from error
        return {name: np.asarray(array, dtype=np.float32) for name, array in results.items()}
