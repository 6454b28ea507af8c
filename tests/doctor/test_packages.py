"""Which packages are found missing, out of bounds, bad or broken."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata

import pytest

from edgekit import catalog
from edgekit.doctor import diagnose, packages, preflight
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


def test_imports_that_work_fail_and_die(tmp_path, monkeypatch):
    (tmp_path / "works_well.py").write_text("")
    (tmp_path / "fails.py").write_text("raise ImportError('libfoo.so: cannot open')")
    (tmp_path / "dies.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert packages.import_failure("works-well") is None
    assert "libfoo.so: cannot open" in packages.import_failure("fails")
    assert "signal 4" in packages.import_failure("dies")


def test_a_diagnosis_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr("edgekit.doctor.diagnosis.import_failure", lambda _: "it fails")
    seen = []
    found = diagnose(tmp_path, on_check=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)
    assert not found.export.usable
    runtime = {health.name: health for health in found.runtimes}
    assert runtime["openvino"].remedy == "pip install 'edgekit[openvino]'"
    assert "pypi.nvidia.com" in runtime["tensorrt"].remedy
    assert "x86-fp32" in runtime["openvino"].targets


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
