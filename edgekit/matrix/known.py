"""Known failures: a TOML table of outcomes that are expected, each with a link and an expiry.

[[failure]]
model = "sam2*"
target = "iphone-int8"
state = "gate failed"
reason = "layer norm overflows in FP16"
link = "https://github.com/apple/coremltools/issues/2600"
expires = 2027-03-31
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from edgekit import catalog
from edgekit.catalog.tables import record_from_toml
from edgekit.errors import BadInput, EdgekitError
from edgekit.matrix.cells import TARGET_FILE, target_name
from edgekit.matrix.states import FAILED, State
from edgekit.models import registry
from edgekit.store import Malformed

FILE = "known-failures.toml"
"""The table in a results folder that is read unless another is named."""

_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFailure:
    """A failure that is expected until `expires`, that day included.

    `model` and `target` are names or globs; a target of the user's own is named by its file.
    `state` is the outcome that is expected; any other failure of the cell is shown as what it is.
    """

    model: str
    target: str
    state: State
    reason: str
    link: str
    expires: date

    def covers(self, model: str, target: str) -> bool:
        """Whether it is about this pair."""
        return fnmatchcase(model, self.model) and fnmatchcase(target, target_name(self.target))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    failure: tuple[KnownFailure, ...] = ()


def read_known_failures(path: Path) -> tuple[KnownFailure, ...]:
    """The known failures of a table.

    Raises:
        BadInput: the file is not there or does not read; or an entry can never hold, because its
            model, target, state or link is none.
    """
    try:
        found = record_from_toml(_Table, path).failure
    except Malformed as error:
        raise _unreadable(path, str(error)) from error
    problems = [
        f"failure.{index}.{problem}"
        for index, known in enumerate(found)
        for problem in _problems(known)
    ]
    if problems:
        raise _unreadable(path, str(Malformed(tuple(problems))))
    return found


def _problems(known: KnownFailure) -> Iterator[str]:
    if not any(fnmatchcase(row.name, known.model) for row in registry.models()):
        yield f"model: there is no model {known.model!r}"
    if known.target.endswith(TARGET_FILE):
        yield from _problems_of_file(known.target)
    elif not any(fnmatchcase(target.name, known.target) for target in catalog.targets()):
        yield f"target: there is no target {known.target!r}"
    if known.state not in FAILED:
        yield f"state: {known.state} is not a failure"
    if not _LINK.fullmatch(known.link):
        yield "link: must begin with https:// or http://"


def _problems_of_file(file: str) -> Iterator[str]:
    try:
        catalog.target_or_file(file)
    except EdgekitError as error:
        yield f"target: {error.what}"


def _unreadable(path: Path, problem: str) -> BadInput:
    states = ", ".join(sorted(FAILED))
    return BadInput(
        f"The known failures in {path} cannot be read: {problem}",
        expected="[[failure]] with model, target, state, reason, link and expires (a date); state "
        f"is one of {states}",
        next_step="correct the entry, or remove it",
    )
