"""LiteRT on the CPU: ai-edge-litert runs a `.tflite` file, or tflite-runtime on old devices.

Both packages have the same interpreter. The last tflite-runtime (2.14) needs NumPy 1 and runs with
the C libraries of older distributions. It is used only if ai-edge-litert is not installed.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.catalog.runtimes import runtime_row
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
)
from edgekit.runtimes.feeds import cannot_run, checked_feeds
from edgekit.runtimes.installed import module_of, package_of, probe_row, require_runtime
from edgekit.runtimes.interface import Found, require_interface
from edgekit.runtimes.quiet import silent_stderr

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import SignatureRunner

_ROW = runtime_row("litert")


def probe() -> Probe:
    """Whether one of the two packages is installed."""
    return probe_row(_ROW)


def execution(target: Target) -> Execution:
    """Native for FP32 and INT8 files, which are made for the CPU.

    An FP16 file is made for a phone's GPU delegate, which computes in float16. The CPU computes it
    in float32 and counts as emulation.
    """
    found = probe()
    if not found.available:
        return Execution(how="not run", reason=found.reason)
    if target.precision is Precision.FP16:
        return Execution(
            how="emulated",
            by=f"{package_of(_ROW)} {found.version} on the CPU",
            reason="the CPU reads the float16 weights and computes in float32; a phone's GPU "
            "delegate computes in float16",
        )
    return NATIVE


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Load `<role>.tflite` with the XNNPACK delegate, on all cores if `threads` is None."""
    installed = require_runtime(_ROW, target)
    path = folder / artifact.entry
    with silent_stderr():
        library = import_module(f"{module_of(package_of(_ROW))}.interpreter")
    try:
        with silent_stderr():
            # The interpreter adds XNNPACK itself. Its default is one thread (LiteRT 2.1).
            interpreter = library.Interpreter(str(path), num_threads=threads or os.cpu_count())
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
        takes, gives = _tensors(runner.get_input_details()), _tensors(runner.get_output_details())
    except Exception as error:  # ValueError and RuntimeError; on damaged files, others too
        raise BundleCorrupt(
            f"LiteRT {installed} cannot load {artifact.entry}: {error}",
            next_step="export the bundle again",
        ) from error
    require_interface(artifact, takes=takes, gives=gives)
    return _LitertSession(runner, artifact)


def _tensors(details: dict[str, dict[str, Any]]) -> dict[str, Found]:
    return {name: _tensor(detail) for name, detail in details.items()}


def _tensor(detail: dict[str, Any]) -> Found:
    """`shape_signature` has -1 for a dynamic size; `shape` the size that memory is planned for."""
    sizes = (int(size) for size in detail.get("shape_signature", detail["shape"]))
    return Found(
        dtype=np.dtype(detail["dtype"]).name,
        shape=tuple(size if size >= 0 else None for size in sizes),
    )


class _LitertSession:
    def __init__(self, runner: SignatureRunner, artifact: Artifact) -> None:
        self._runner = runner
        self._artifact = artifact

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run. The runner copies results out of the interpreter's memory."""
        arrays = checked_feeds(feeds, self._artifact.inputs)
        try:
            results: dict[str, FloatArray] = self._runner(**arrays)
        except (ValueError, RuntimeError) as error:
            raise cannot_run(self._artifact, error) from error
        return results
