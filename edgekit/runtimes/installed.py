"""The runtime packages on this machine, and whether their versions suit a target."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from edgekit.catalog.runtimes import RuntimeRow, install_command, runtime_row
from edgekit.errors import RuntimeMissing
from edgekit.records import NATIVE, Execution, Probe, Target


def probe_package(package: str) -> Probe:
    """Look for a distribution without importing its module, which takes 0.2 to 0.4 s."""
    if find_spec(module_of(package)) is None:
        return Probe(available=False, reason=f"package {package} is not installed")
    return Probe(available=True, version=_version_of(package))


def package_of(row: RuntimeRow) -> str:
    """The first distribution of a runtime that is installed, or the first of all."""
    installed = (package for package in row.packages if probe_package(package).available)
    return next(installed, row.packages[0])


def probe_row(row: RuntimeRow) -> Probe:
    """Whether one of a runtime's distributions is installed."""
    return probe_package(package_of(row))


def native_if(probe: Probe) -> Execution:
    """Native where the runtime is available; not run elsewhere, for the probe's reason."""
    return NATIVE if probe.available else Execution(how="not run", reason=probe.reason)


def require_runtime(row: RuntimeRow, target: Target) -> str:
    """The installed version of a target's runtime.

    Raises:
        RuntimeMissing: it is not installed, or outside the target's `runtime_versions`.
    """
    from packaging.specifiers import SpecifierSet

    package = package_of(row)
    probe = probe_package(package)
    if probe.version is None:
        raise missing_runtime(row.name)
    if not SpecifierSet(target.runtime_versions).contains(probe.version, prereleases=True):
        raise RuntimeMissing(
            f"{package} {probe.version} is installed, which target {target.name} does not accept.",
            expected=f"{package}{target.runtime_versions}",
            next_step=f"pip install '{package}{target.runtime_versions}'",
        )
    return probe.version


def missing_runtime(name: str, reason: str | None = None) -> RuntimeMissing:
    """The error for a runtime that cannot run here; without `reason` it is not installed."""
    return RuntimeMissing(
        f"{runtime_row(name).title} cannot run here: {reason}."
        if reason
        else f"{runtime_row(name).title} is not installed.",
        next_step=install_command(name),
    )


def module_of(package: str) -> str:
    """The module that a distribution is imported as."""
    return package.replace("-", "_")


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # onnxruntime-gpu and others install the same module
        return str(importlib.import_module(module_of(package)).__version__)
