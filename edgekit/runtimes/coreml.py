"""Core ML on macOS: coremltools runs a `.mlpackage`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Protocol

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
    TensorSpec,
)
from edgekit.runtimes.feeds import checked_feeds
from edgekit.runtimes.installed import native_if, probe_row, require_runtime
from edgekit.runtimes.quiet import quiet_coremltools

_ROW = runtime_row("coreml")
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
    except Exception as error:  # coremltools 9.0 has no exception class of its own
        cause = str(error).strip().partition("\n")[0]
        raise BundleCorrupt(
            f"coremltools {installed} cannot load {artifact.entry}: {cause}",
            next_step="export the bundle again",
        ) from error
    return CoreMlSession(model, artifact.inputs)


class Model(Protocol):
    """The part of coremltools' MLModel that a session uses."""

    def predict(self, data: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once; arrays by name."""


class CoreMlSession:
    """A session over a model that Core ML has loaded."""

    def __init__(self, model: Model, inputs: tuple[TensorSpec, ...]) -> None:
        self._model = model
        self._inputs = inputs

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; results are float32 whatever the package computes in."""
        results = self._model.predict(checked_feeds(feeds, self._inputs))
        return {name: np.asarray(array, dtype=np.float32) for name, array in results.items()}
