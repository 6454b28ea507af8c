"""Device profiles: `targets/NAME.toml`, one Target each."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog.runtimes import RUNTIMES
from edgekit.catalog.tables import names_in, record_from_toml, table_dir, unknown, unusable
from edgekit.records import Target
from edgekit.store import Malformed, contradictions


def target(name: str) -> Target:
    """The profile of a name.

    Raises:
        UnknownName: no profile has it; the nearest are suggested.
        BadInput: the profile's file does not read; every error is named.
    """
    known = names_in("targets")
    if name not in known:
        raise unknown("target", name, known=known, command="edgekit targets")
    path = table_dir("targets") / f"{name}.toml"
    try:
        return _profile(path)
    except Malformed as error:
        raise unusable(error.problems, where=path.parent) from error


def targets() -> tuple[Target, ...]:
    """All profiles, sorted by name.

    Raises:
        BadInput: files do not read; every error of every file is named.
    """
    found: list[Target] = []
    problems: list[str] = []
    for name in names_in("targets"):
        try:
            found.append(_profile(table_dir("targets") / f"{name}.toml"))
        except Malformed as error:
            problems += error.problems
    if problems:
        raise unusable(tuple(problems), where=table_dir("targets"))
    return tuple(found)


def _profile(path: Path) -> Target:
    profile = record_from_toml(Target, path)
    problems = [*contradictions.in_target(profile)]
    if profile.name != path.stem:
        problems.append(f"name: is {profile.name!r}, the file's name says {path.stem!r}")
    if profile.runtime not in RUNTIMES:
        problems.append(f"runtime: {profile.runtime!r} is none of {', '.join(RUNTIMES)}")
    if problems:
        raise Malformed(tuple(f"{path.name}: {problem}" for problem in problems))
    return profile
