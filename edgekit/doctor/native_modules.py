"""Whether the native code of a package loads on this CPU.

A wheel built for another CPU ends the process with SIGILL instead of an exception, so every package
is tried in a process of its own. That process imports only the package's extension module, with
empty modules in place of its parent packages. The libraries are loaded and initialised, which is
when such wheels usually die, but the package's Python files are not run. They take most of the
time: 0.4 s instead of 2.7 s of CPU time for torch 2.13, 0.03 s instead of 7.3 s for coremltools 9.
If the extension does not load, the whole package is imported; that decides, and gives the reason.

Errors in a package's Python files are not found here. The first command that uses it reports them.
"""

from __future__ import annotations

import subprocess

from edgekit.interpreter import python_command

_TIMEOUT_S = 60

_EXTENSIONS: dict[str, str | None] = {
    "ai-edge-litert": "ai_edge_litert._pywrap_litert_interpreter_wrapper",
    "coremltools": "coremltools.libmilstoragepython",
    "onnx": "onnx.onnx_cpp2py_export",
    "onnxruntime": "onnxruntime.capi.onnxruntime_pybind11_state",
    "onnxscript": None,
    "onnxsim": "onnxsim.onnxsim_cpp2py_export",
    "openvino": "openvino._pyopenvino",
    "pycocotools": "pycocotools._mask",
    "safetensors": "safetensors._safetensors_rust",
    "tflite-runtime": "tflite_runtime._pywrap_tensorflow_interpreter_wrapper",
    "torch": "torch._C",
    "torchao": None,  # its extensions are CUDA kernels, which edgekit does not use
}
"""The extension module of each distribution; None if there is none to load. Other distributions,
such as tensorrt, are imported whole."""

_LOAD_EXTENSION = """\
import importlib, os, sys, types
from importlib.util import find_spec

parts = sys.argv[1].split(".")
for end in range(1, len(parts)):
    package = types.ModuleType(".".join(parts[:end]))
    package.__path__ = find_spec(package.__name__).submodule_search_locations
    sys.modules[package.__name__] = package
importlib.import_module(sys.argv[1])
os._exit(0)  # without the package's Python, its clean-up at exit may fail
"""


def load_failure(distribution: str) -> str | None:
    """Why an installed distribution cannot be loaded on this CPU; None if it can."""
    module = distribution.replace("-", "_")
    extension = _EXTENSIONS.get(distribution, module)
    if extension is None:
        return None
    if extension != module:
        code, _ = _run(_LOAD_EXTENSION, extension)
        if code == 0:
            return None
    return _import_failure(module)


def _import_failure(module: str) -> str | None:
    code, stderr = _run(f"import {module}")
    if code is None:
        return f"importing {module} took more than {_TIMEOUT_S} s"
    if code < 0:
        return f"importing {module} was killed by signal {-code}: built for another CPU?"
    return f"importing {module} fails: {stderr.strip().rpartition(chr(10))[2]}" if code else None


def _run(code: str, *arguments: str) -> tuple[int | None, str]:
    """Exit code and stderr of Python code in a new process; the code is None after a timeout."""
    try:
        done = subprocess.run(
            python_command(code, *arguments),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr
