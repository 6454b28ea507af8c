"""Packages that are missing, out of bounds, known to be bad, or built for another CPU."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata

import pytest

from edgekit import catalog
from edgekit.doctor import diagnose, native_modules, packages, preflight
from edgekit.errors import BadInput, RuntimeMissing

VERSIONS = {"numpy": "2.3.5", "coremltools": "9.0", "tensorrt": "10.3.0"}


@pytest.fixture
def versions(monkeypatch):
    """Versions by distribution; a missing one is not installed."""
    table = dict(VERSIONS)

    def version(distribution: str) -> str:
        if distribution not in table:
            raise metadata.PackageNotFoundError(distribution)
        return table[distribution]

    monkeypatch.setattr(packages.metadata, "version", version)
    return table


def problem_of(extra: str) -> str | None:
    return next((p.problem for p in packages.packages_of(extra) if p.problem), None)


def test_extras_are_edgekits_own():
    named = {package.distribution for package in packages.packages_of("export")}
    assert {"torch", "onnx", "onnxsim"} <= named
    assert "onnxruntime" not in named


def test_an_installed_package_in_bounds(versions):
    assert problem_of("coreml") is None


def test_a_missing_package(versions):
    del versions["coremltools"]
    assert problem_of("coreml") == "coremltools is not installed"


def test_a_version_out_of_bounds(versions):
    versions["coremltools"] = "8.3"
    assert "coremltools 8.3 is not" in problem_of("coreml")


def test_a_version_known_to_be_bad(versions):
    versions["numpy"] = "2.4.6"
    assert "numpy 2.4.6" in problem_of("coreml")
    assert problem_of("tensorrt") is None


def test_whole_imports_that_work_fail_and_die(tmp_path, monkeypatch):
    (tmp_path / "works_well.py").write_text("")
    (tmp_path / "fails.py").write_text("raise ImportError('libfoo.so: cannot open')")
    (tmp_path / "dies.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.syspath_prepend(tmp_path)
    assert native_modules.load_failure("works-well") is None
    assert "libfoo.so: cannot open" in native_modules.load_failure("fails")
    assert "signal 4" in native_modules.load_failure("dies")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `fancy` whose `__init__` fails, with a module `native` of this text."""

    def write(native: str, init: str = "raise ImportError('imported whole')") -> None:
        (tmp_path / "fancy").mkdir()
        (tmp_path / "fancy" / "__init__.py").write_text(init)
        (tmp_path / "fancy" / "native.py").write_text(native)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(native_modules._EXTENSIONS, "fancy", "fancy.native")

    return write


def test_only_the_extension_is_loaded(package):
    package("import sys; assert 'fancy' in sys.modules")
    assert native_modules.load_failure("fancy") is None


def test_the_whole_package_decides_where_the_extension_fails(package):
    package("raise ImportError", init="")
    assert native_modules.load_failure("fancy") is None


def test_an_extension_for_another_cpu(package):
    package(
        "import os, signal; os.kill(os.getpid(), signal.SIGILL)", init="from fancy import native"
    )
    assert "killed by signal 4: built for another CPU?" in native_modules.load_failure("fancy")


def test_pure_python_is_not_loaded(monkeypatch):
    monkeypatch.setattr(native_modules, "_run", lambda *_: pytest.fail("a process was started"))
    assert native_modules.load_failure("onnxscript") is None


def test_a_diagnosis_says_what_can_be_made_and_how_it_runs(monkeypatch, tmp_path):
    monkeypatch.setattr("edgekit.doctor.diagnosis.load_failure", lambda _: None)
    monkeypatch.setattr("edgekit.runtime.opening.lacks", lambda _: False)
    runtime = {health.name: health for health in diagnose(tmp_path).runtimes}
    (first, *_) = runtime["openvino"].targets
    assert (first.export, first.runs_here, first.reason) == ("ready", "native", None)
    for target in runtime["tensorrt"].targets:
        assert target.runs_here.startswith("emulated by ONNX Runtime")
        assert target.reason


def test_a_runtime_that_does_not_load_makes_and_runs_nothing(monkeypatch, tmp_path):
    failure = "importing openvino was killed by signal 4"
    monkeypatch.setattr("edgekit.runtime.opening.lacks", lambda _: False)
    monkeypatch.setattr(
        "edgekit.doctor.diagnosis.load_failure",
        lambda distribution: failure if distribution == "openvino" else None,
    )
    runtime = {health.name: health for health in diagnose(tmp_path).runtimes}
    for target in runtime["openvino"].targets:
        assert (target.export, target.runs_here) == (failure, "not run")
        assert target.reason == failure
    assert {target.runs_here for target in runtime["onnxruntime"].targets} == {"native"}


def test_a_diagnosis_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr("edgekit.doctor.diagnosis.load_failure", lambda _: "it fails")
    calls = []
    diagnosis = diagnose(tmp_path, on_check=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (6, 6)
    assert not diagnosis.export.usable
    runtime = {health.name: health for health in diagnosis.runtimes}
    assert runtime["openvino"].remedy == "pip install 'edgekit[openvino]'"
    assert "pypi.nvidia.com" in runtime["tensorrt"].remedy
    assert "x86-fp32" in [target.name for target in runtime["openvino"].targets]


# --- preflight ------------------------------------------------------------------------------------


@pytest.fixture
def target():
    return catalog.target("x86-ort-fp32")


def test_preflight_passes_here(target, tmp_path):
    assert isinstance(preflight(target, tmp_path), tuple)


def test_preflight_stops_before_a_bad_version(target, tmp_path, monkeypatch):
    bad = packages.PackageHealth(
        distribution="onnx", wanted=">=1.22", installed="1.0", problem="onnx 1.0 is not >=1.22"
    )
    monkeypatch.setattr("edgekit.doctor.export_checks.packages_of", lambda _: (bad,))
    with pytest.raises(RuntimeMissing, match=r"onnx 1\.0 is not") as error:
        preflight(target, tmp_path)
    assert "edgekit doctor" in error.value.next_step


def test_preflight_of_tensorrt_needs_no_tensorrt(target, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "edgekit.doctor.export_checks.packages_of", lambda extra: asked.append(extra) or ()
    )
    preflight(replace(target, runtime="tensorrt"), tmp_path)
    assert "export" in asked
    assert "tensorrt" not in asked


def test_preflight_of_a_full_disk(target, tmp_path, monkeypatch):
    monkeypatch.setattr("edgekit.doctor.export_checks.free_disk_mb", lambda _: 12)
    with pytest.raises(BadInput, match="12 MB"):
        preflight(target, tmp_path)


def test_preflight_warns_of_little_memory(target, tmp_path, monkeypatch):
    import psutil

    little = replace_memory(psutil.virtual_memory(), 500 * 10**6)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    assert "500 MB" in preflight(target, tmp_path)[0]


def replace_memory(memory, available):
    return memory._replace(available=available)
