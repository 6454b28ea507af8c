"""`import edgekit` is the library, and costs next to nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import edgekit


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_loads_none_of_its_modules_but_the_version() -> None:
    run(
        "import sys, edgekit\n"
        "loaded = {name for name in sys.modules if name.startswith('edgekit.')}\n"
        "assert loaded == {'edgekit.version'}, loaded\n"
        "assert not {'numpy', 'torch', 'PIL', 'pydantic', 'onnx'} & sys.modules.keys()"
    )


@pytest.mark.parametrize("name", edgekit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(edgekit, name)
    assert not isinstance(value, types.ModuleType), "a subpackage of this name hides it"
    assert name in dir(edgekit)


def test_the_functions_survive_the_import_of_every_module() -> None:
    """A subpackage called `verify` would replace the function when it is imported."""
    run(
        "import pkgutil, edgekit\n"
        "modules = {module.name for module in pkgutil.iter_modules(edgekit.__path__)}\n"
        "assert not modules & set(edgekit.__all__), modules & set(edgekit.__all__)"
    )


def test_the_library_needs_no_pytorch_until_it_exports() -> None:
    run(
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'onnxsim', 'safetensors', 'pycocotools'):\n"
        "    sys.modules[name] = None\n"
        "import edgekit\n"
        "for name in edgekit.__all__:\n"
        "    getattr(edgekit, name)"
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'edgekit' has no attribute 'exprot'"):
        _ = edgekit.exprot


def test_the_silent_report_takes_everything() -> None:
    with edgekit.SILENT.stage("weights"):
        edgekit.SILENT.progress(1, None)
        edgekit.SILENT.warning("nobody hears it")
