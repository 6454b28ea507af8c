"""What a device needs to run cells: Python, edgekit's packages and the runtime's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import RuntimeMissing
from edgekit.matrix.fleets.workers import Worker

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

PROBE = """
import sys
sys.path.pop(0)
import json, os, platform
def installed(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return None
folder, names = sys.argv[1], sys.argv[2:]
print(json.dumps({
    "python": "%d.%d.%d" % sys.version_info[:3],
    "machine": platform.machine(),
    "system": sys.platform,
    "installed": {name: installed(name) for name in names},
    "has_code": os.path.isdir(folder),
}))
"""
"""A program for any Python 3: `python - FOLDER PACKAGE...` prints a `Found` as JSON.

A Python built from source names its version "3.12.0+", which no requirement takes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a device has. `installed` is None for a package that is not; `has_code` says whether
    the folder of edgekit's code is there."""

    python: str
    machine: str
    system: str
    installed: dict[str, str | None]
    has_code: bool


def package_names(runtime: str) -> tuple[str, ...]:
    """The packages that a device may need for a runtime."""
    return tuple(dict.fromkeys(requirement.name for requirement in _requirements(runtime)))


def require_on_device(found: Found, runtime: str, *, worker: Worker) -> None:
    """Refuse a device that lacks something that a runtime needs.

    Raises:
        RuntimeMissing: with the line that installs what is missing.
    """
    from packaging.specifiers import SpecifierSet

    wanted = metadata.metadata("edgekit")["Requires-Python"]
    if not _fits(found.python, SpecifierSet(wanted)):
        raise RuntimeMissing(
            f"{worker.name} has Python {found.python} as {worker.python}; edgekit needs {wanted}.",
            next_step=f"install another there, and name it in {worker.name}'s row: python = ...",
        )
    if missing := tuple(_missing(found, runtime)):
        index = runtime_row(runtime).index
        options = ("--extra-index-url", index) if index else ()
        line = shlex.join((worker.python, "-m", "pip", "install", *map(str, missing), *options))
        raise RuntimeMissing(
            f"{worker.name} lacks packages: {', '.join(_told(each, found) for each in missing)}.",
            next_step=f'ssh {worker.host} "{line}"',
        )


def _fits(version: str | None, specifier: SpecifierSet) -> bool:
    """Whether a version is there and in the range. What is none, such as "unknown", is in none:
    packaging 24 raises for it, 26 does not."""
    from packaging.version import InvalidVersion, Version

    if version is None:
        return False
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _told(requirement: Requirement, found: Found) -> str:
    version = found.installed.get(requirement.name)
    return f"{requirement.name}{requirement.specifier}" + (f" (has {version})" if version else "")


def _missing(found: Found, runtime: str) -> Iterator[Requirement]:
    environment = {
        "python_version": ".".join(found.python.split(".")[:2]),
        "python_full_version": found.python,
        "platform_machine": found.machine,
        "sys_platform": found.system,
        "extra": runtime,
    }
    for requirement in _requirements(runtime):
        version = found.installed.get(requirement.name)
        needed = requirement.marker is None or requirement.marker.evaluate(environment)
        if needed and not _fits(version, requirement.specifier):
            requirement.marker = None
            yield requirement


def _requirements(runtime: str) -> Iterator[Requirement]:
    """edgekit's own requirements, and those of the extra that is named as the runtime."""
    from packaging.requirements import Requirement

    for text in metadata.requires("edgekit") or ():
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        if "extra" not in marker or f'extra == "{runtime}"' in marker:
            yield requirement
