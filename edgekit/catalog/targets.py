"""Read the device profiles: `targets/NAME.toml`, and those of users."""

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
from edgekit.errors import BadInput
from edgekit.records import Target
from edgekit.store import Malformed, contradictions

_SUFFIX = ".toml"


def target(name: str) -> Target:
    """The profile with this name.

    Raises:
        UnknownName: there is none; the nearest names are suggested.
        BadInput: the profile's file cannot be read; all errors are listed.
    """
    known = names_in("targets")
    if name not in known:
        raise unknown_name("target", name, known=known, command="edgekit targets")
    path = table_dir("targets") / f"{name}{_SUFFIX}"
    try:
        return _profile(path)
    except Malformed as error:
        raise unreadable_tables(error.problems, where=path.parent) from error


def target_or_file(name: str) -> Target:
    """The profile with this name, or a user's own: the path of a file that ends with .toml.

    Raises:
        UnknownName: there is no such name; the nearest names are suggested.
        BadInput: the file cannot be read (all errors are listed), or differs from the profile of
            edgekit's that has its name.
    """
    path = Path(name)
    if path.suffix != _SUFFIX:
        return target(name)
    try:
        profile = _profile(path)
    except Malformed as error:
        raise BadInput(
            f"The target cannot be used: {error}",
            next_step="correct the file; targets/README.md of edgekit says what its keys mean",
        ) from error
    if profile.name in names_in("targets") and profile != target(profile.name):
        raise BadInput(
            f"The target {path} has the name of one of edgekit's targets, but is another.",
            expected="a name of its own, so that their bundles can be told apart",
            next_step="rename the file, and change its key `name`",
        )
    return profile


def targets() -> tuple[Target, ...]:
    """All profiles, sorted by name.

    Raises:
        BadInput: files cannot be read; all errors of all files are listed.
    """
    profiles: list[Target] = []
    problems: list[str] = []
    for name in names_in("targets"):
        try:
            profiles.append(_profile(table_dir("targets") / f"{name}{_SUFFIX}"))
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
