"""Run a `.tflite` file: with ai-edge-litert, or on old devices with tflite-runtime.

Both have the same interpreter. tflite-runtime ended with 2.14, for NumPy 1 and the C libraries of
older distributions; it is taken where ai-edge-litert is not installed.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.feeds import checked_feeds
from edgekit.backends.installed import probe_package, require_runtime
from edgekit.backends.native_output import silent_stderr
from edgekit.errors import BundleCorrupt
from edgekit.records import (
    NATIVE,
    Artifact,
    Execution,
    Feeds,
    FloatArray,
    Precision,
    Probe,
    Session,
    Target,
    TensorSpec,
)

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import SignatureRunner

PACKAGE = "ai-edge-litert"
_OLD_PACKAGE = "tflite-runtime"


def probe() -> Probe:
    """Whether one of the two packages is installed."""
    return probe_package(_package())


def execution(target: Target) -> Execution:
    """The runtime is the target's own; for FP16 its CPU stands in for a phone's GPU."""
    if target.precision is Precision.FP16:
        return Execution(
            how="emulated",
            reason="LiteRT ran the file's float16 weights on the CPU, which computes in float32; a "
            "phone's GPU delegate computes in float16",
        )
    return NATIVE


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load `<role>.tflite` with the XNNPACK delegate, which the interpreter adds by itself.

    `threads` None takes all cores: LiteRT's own default is one thread.
    """
    package = _package()
    installed = require_runtime(package, target)
    path = folder / artifact.entry
    try:
        with silent_stderr():
            library = import_module(f"{package.replace('-', '_')}.interpreter")
            interpreter = library.Interpreter(str(path), num_threads=threads or os.cpu_count())
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise BundleCorrupt(
            f"LiteRT {installed} cannot load {artifact.entry}: {error}",
            next_step="export the bundle again",
        ) from error
    return _LitertSession(runner, artifact.inputs)


class _LitertSession:
    def __init__(self, runner: SignatureRunner, inputs: tuple[TensorSpec, ...]) -> None:
        self._runner = runner
        self._inputs = inputs

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; the runner copies results out of the interpreter's memory."""
        results: dict[str, FloatArray] = self._runner(**checked_feeds(feeds, self._inputs))
        return results


def _package() -> str:
    """The one to use: the old one only where the new one is not there."""
    if probe_package(PACKAGE).available or not probe_package(_OLD_PACKAGE).available:
        return PACKAGE
    return _OLD_PACKAGE
