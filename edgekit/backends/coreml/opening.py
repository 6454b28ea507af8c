"""A package to a session: Core ML itself on macOS, the evaluator everywhere else."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgekit.backends.coreml.lowering import PACKAGE
from edgekit.backends.coreml.quiet import quiet_coremltools
from edgekit.backends.feeds import checked_feeds
from edgekit.backends.installed import probe_package, require_runtime
from edgekit.errors import BundleCorrupt, NotYet
from edgekit.records import (
    NATIVE,
    Artifact,
    Execution,
    Feeds,
    FloatArray,
    Probe,
    Session,
    Target,
    TensorSpec,
)

if TYPE_CHECKING:
    from edgekit.backends.coreml.mil.package import MilProgram

COMPUTE_UNITS = "compute_units"
"""The option of a target that says where Core ML may run: ALL (default), CPU_AND_NE, CPU_AND_GPU or
CPU_ONLY. The evaluator has no use for it."""


def probe() -> Probe:
    """Whether coremltools, which converts and loads packages, is installed."""
    return probe_package(PACKAGE)


def execution(_: Target) -> Execution:
    """Native on macOS."""
    if _has_core_ml():
        return NATIVE
    return Execution(
        how="emulated",
        reason="Core ML is part of macOS and iOS; here the package's own program and weights ran "
        "on the CPU, each result rounded to its type",
    )


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load a package. Core ML chooses its threads itself; `threads` is for the evaluator.

    Raises:
        RuntimeMissing: coremltools is not installed, or of another version.
        BundleCorrupt: files are missing or cannot be read.
        NotYet: the evaluator does not know an operator.
    """
    installed = require_runtime(PACKAGE, target)
    path = folder / artifact.entry
    try:
        if _has_core_ml():
            return CoreMlSession(_loaded(path, target), artifact.inputs)
        program = _read(path)
    except Exception as error:  # coremltools has no class of its own
        raise BundleCorrupt(
            f"coremltools {installed} cannot load {artifact.entry}: {_first_line(error)}",
            next_step="export the bundle again",
        ) from error
    _require_known(program, artifact)
    return _EvaluatorSession(program, artifact.inputs, threads)


def _has_core_ml() -> bool:
    return platform.system() == "Darwin"


class Predicts(Protocol):
    """The part of coremltools' MLModel that a session needs."""

    def predict(self, data: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once, arrays by name."""


class CoreMlSession:
    """Core ML at work, through coremltools. Not run by edgekit's own tests: they have no Mac."""

    def __init__(self, model: Predicts, inputs: tuple[TensorSpec, ...]) -> None:
        self._model = model
        self._inputs = inputs

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; results are float32 whatever the package computes in."""
        results = self._model.predict(checked_feeds(feeds, self._inputs))
        return {name: np.asarray(array, dtype=np.float32) for name, array in results.items()}


def _loaded(path: Path, target: Target) -> Predicts:
    with quiet_coremltools() as coremltools:
        units = coremltools.ComputeUnit[target.options.get(COMPUTE_UNITS, "ALL")]
        return coremltools.models.MLModel(str(path), compute_units=units)  # type: ignore[no-any-return]


class _EvaluatorSession:
    def __init__(
        self, program: MilProgram, inputs: tuple[TensorSpec, ...], threads: int | None
    ) -> None:
        self._program = program
        self._inputs = inputs
        self._threads = threads

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run with torch on that many threads, whose number is torch's own again afterwards."""
        import torch

        from edgekit.backends.coreml.mil.evaluator import execute

        arrays = checked_feeds(feeds, self._inputs)
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads or before)
        try:
            tensors = {name: torch.tensor(array) for name, array in arrays.items()}
            results = execute(self._program, tensors)
        finally:
            torch.set_num_threads(before)
        return {name: tensor.numpy() for name, tensor in results.items()}


def _read(path: Path) -> MilProgram:
    from edgekit.backends.coreml.mil.package import read_package

    return read_package(path)


def _require_known(program: MilProgram, artifact: Artifact) -> None:
    from edgekit.backends.coreml.mil.evaluator import unknown_operators

    if unknown := unknown_operators(program):
        raise NotYet(
            f"{artifact.entry} uses Core ML operators that edgekit's evaluator does not know: "
            f"{', '.join(unknown)}.",
            expected="the operators of edgekit.backends.coreml.mil.evaluator",
            next_step="run the same command on macOS, where Core ML itself runs the package",
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
