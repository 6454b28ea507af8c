"""The packages of each extra of edgekit: installed, in bounds, or known to be bad.

The bounds are read from edgekit's own metadata. `KNOWN_BAD` lists versions that are bad for an
extra although its bounds, or those of a package that edgekit does not install, allow them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBad:
    """Versions (PEP 440) of a distribution that break the packages of `extra`, and how."""

    extra: str
    distribution: str
    versions: str
    reason: str


KNOWN_BAD: tuple[KnownBad, ...] = (
    KnownBad(
        extra="coreml",
        distribution="numpy",
        versions=">=2.4",
        reason="coremltools 9 fails on its scalars: 'only 0-dimensional arrays can be converted to"
        " Python scalars' (seen with 2.4.6)",
    ),
    KnownBad(
        extra="tensorrt",
        distribution="tensorrt",
        versions="==8.6.*",
        reason="FP16 engines of SAM encoders were silently wrong (mit-han-lab/efficientvit#113)",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageHealth:
    """One distribution. `problem` is None if it is installed, in bounds and not known to be bad."""

    distribution: str
    wanted: str
    installed: str | None
    problem: str | None = None


def packages_of(extra: str) -> tuple[PackageHealth, ...]:
    """The distributions that an extra requires, and their installed versions. Imports none."""
    return tuple(_health(requirement, extra) for requirement in _required(extra))


@cache
def _listed() -> tuple[Requirement, ...]:
    from packaging.requirements import Requirement

    return tuple(Requirement(text) for text in metadata.requires("edgekit") or ())


def _required(extra: str) -> tuple[Requirement, ...]:
    return tuple(
        requirement
        for requirement in _listed()
        if requirement.name != "edgekit"
        and requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    )


def _health(requirement: Requirement, extra: str) -> PackageHealth:
    installed = _version(requirement.name)
    return PackageHealth(
        distribution=requirement.name,
        wanted=str(requirement.specifier),
        installed=installed,
        problem=_problem(requirement, installed) or _known_bad(extra),
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _problem(requirement: Requirement, installed: str | None) -> str | None:
    if installed is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return f"{requirement.name} {installed} is not {requirement.specifier}"
    return None


def _known_bad(extra: str) -> str | None:
    from packaging.specifiers import SpecifierSet

    for row in KNOWN_BAD:
        installed = _version(row.distribution) if row.extra == extra else None
        if installed and SpecifierSet(row.versions).contains(installed, prereleases=True):
            return f"{row.distribution} {installed}: {row.reason}"
    return None
