"""Read the device profiles, `targets/NAME.toml`."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog.options import refused_options
from edgekit.catalog.runtimes import RUNTIMES
from edgekit.catalog.tables import (
    names_in,
    record_from_toml,
    table_dir,
    unknown_name,
    unreadable_tables,
)
from edgekit.records import Target
from edgekit.store import Malformed, contradictions


def target(name: str) -> Target:
    """The profile with this name.

    Raises:
        UnknownName: there is none; the nearest names are suggested.
        BadInput: the profile's file cannot be read; all errors are listed.
    """
    known = names_in("targets")
    if name not in known:
        raise unknown_name("target", name, known=known, command="edgekit targets")
    path = table_dir("targets") / f"{name}.toml"
    try:
        return _profile(path)
    except Malformed as error:
        raise unreadable_tables(error.problems, where=path.parent) from error


def targets() -> tuple[Target, ...]:
    """All profiles, sorted by name.

    Raises:
        BadInput: files cannot be read; all errors of all files are listed.
    """
    profiles: list[Target] = []
    problems: list[str] = []
    for name in names_in("targets"):
        try:
            profiles.append(_profile(table_dir("targets") / f"{name}.toml"))
        except Malformed as error:
            problems += error.problems
    if problems:
        raise unreadable_tables(tuple(problems), where=table_dir("targets"))
    return tuple(profiles)


def _profile(path: Path) -> Target:
    profile = record_from_toml(Target, path)
    problems = [*contradictions.in_target(profile)]
    if profile.name != path.stem:
        problems.append(f"name: is {profile.name!r}, but the file is named {path.stem!r}")
    if profile.runtime not in RUNTIMES:
        problems.append(f"runtime: {profile.runtime!r} is none of {', '.join(RUNTIMES)}")
    else:
        problems += refused_options(profile.runtime, profile.options)
    if problems:
        raise Malformed(tuple(f"{path.name}: {problem}" for problem in problems))
    return profile
