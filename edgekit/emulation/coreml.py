"""Stand-in for Core ML: an evaluator in PyTorch runs the package's own program and weights."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import BundleCorrupt, NotYet, RuntimeMissing
from edgekit.records import Artifact, Feeds, FloatArray, Probe, Session, Target
from edgekit.runtimes.feeds import cannot_run, checked_feeds
from edgekit.runtimes.installed import require_runtime
from edgekit.runtimes.interface import Found, require_interface

if TYPE_CHECKING:
    from edgekit.emulation.mil.package import Declared, MilProgram

DESCRIPTION = "the package's own program ran on the CPU, and each result was rounded to its type"

_PACKAGES = ("torch", "coremltools")
_ROW = runtime_row("coreml")
_DTYPES = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}


def probe() -> Probe:
    """Whether coremltools, which reads packages, and torch, which computes, are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            return Probe(available=False, reason=f"package {name} is not installed")
    return Probe(available=True, version=f"edgekit's MIL evaluator (torch {versions['torch']})")


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load a `.mlpackage`. With `threads` None torch chooses the number of CPU threads.

    Raises:
        RuntimeMissing: coremltools or torch is not installed, or coremltools is not of a version
            that the target accepts.
        BundleCorrupt: the package is missing or cannot be read.
        NotYet: the evaluator does not know an operator.
    """
    if reason := probe().reason:
        raise RuntimeMissing(
            f"Core ML is emulated with torch and coremltools: {reason}.",
            next_step="pip install 'edgekit[export,coreml]'",
        )
    installed = require_runtime(_ROW, target)
    from edgekit.emulation.mil.evaluator import unknown_operators
    from edgekit.emulation.mil.package import read_package

    try:
        program = read_package(folder / artifact.entry)
    except Exception as error:  # coremltools 9.0 has no exception class of its own
        cause = str(error).strip().partition("\n")[0]
        raise BundleCorrupt(
            f"coremltools {installed} cannot load {artifact.entry}: {cause}",
            next_step="export the bundle again",
        ) from error
    if unknown := unknown_operators(program):
        raise NotYet(
            f"{artifact.entry} uses Core ML operators that edgekit's evaluator does not know: "
            f"{', '.join(unknown)}.",
            expected="the operators of edgekit.emulation.mil.evaluator",
            next_step="run the same command on macOS, where Core ML itself runs the package",
        )
    takes, gives = _tensors(program.inputs), _tensors(program.outputs)
    require_interface(artifact, takes=takes, gives=gives)
    return _EvaluatorSession(program, artifact, threads)


def _tensors(declared: tuple[Declared, ...]) -> dict[str, Found]:
    return {
        one.name: Found(dtype=_DTYPES.get(one.dtype, one.dtype), shape=one.shape)
        for one in declared
    }


class _EvaluatorSession:
    def __init__(self, program: MilProgram, artifact: Artifact, threads: int | None) -> None:
        self._program = program
        self._artifact = artifact
        self._threads = threads

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run with torch on `threads` threads, and restore torch's setting afterwards."""
        import torch

        from edgekit.emulation.mil.evaluator import execute

        arrays = checked_feeds(feeds, self._artifact.inputs)
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads or before)
        try:
            tensors = {name: torch.tensor(array) for name, array in arrays.items()}
            results = execute(self._program, tensors)
        except Exception as error:  # torch raises anything on operands that do not fit
            raise cannot_run(self._artifact, error) from error
        finally:
            torch.set_num_threads(before)
        return {name: tensor.numpy() for name, tensor in results.items()}
