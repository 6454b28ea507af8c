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

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from edgekit.catalog.tables import record_from_toml
from edgekit.errors import BadInput
from edgekit.matrix.states import FAILED, State
from edgekit.store import Malformed

FILE = "known-failures.toml"
"""The table in a results folder that is read unless another is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFailure:
    """A failure that is expected until `expires`, that day included.

    `model` and `target` are names or globs. `state` is the outcome that is expected; any other
    failure of the cell is shown as what it is.
    """

    model: str
    target: str
    state: State
    reason: str
    link: str
    expires: date

    def covers(self, model: str, target: str) -> bool:
        """Whether it is about this pair."""
        return fnmatchcase(model, self.model) and fnmatchcase(target, self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    failure: tuple[KnownFailure, ...] = ()


def read_known_failures(path: Path) -> tuple[KnownFailure, ...]:
    """The known failures of a table.

    Raises:
        BadInput: the file is not there or does not read, or a state is not that of a failure.
    """
    try:
        found = record_from_toml(_Table, path).failure
    except Malformed as error:
        raise _unreadable(path, str(error)) from error
    for index, known in enumerate(found):
        if known.state not in FAILED:
            raise _unreadable(path, f"failure.{index}.state: {known.state} is not a failure")
    return found


def _unreadable(path: Path, problem: str) -> BadInput:
    states = ", ".join(sorted(FAILED))
    return BadInput(
        f"The known failures in {path} cannot be read: {problem}",
        expected="[[failure]] with model, target, state, reason, link and expires (a date); state "
        f"is one of {states}",
    )
