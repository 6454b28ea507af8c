"""Errors that a user can cause, each with its exit code.

An error says what happened, what was expected, and what to type next. Exit codes: 0 passed, 1 the
gate failed, 2 wrong usage or bad input, 3 could not run. A bug of edgekit ends with 70.
"""

from __future__ import annotations

from typing import ClassVar


class EdgekitError(Exception):
    """Base of the errors that the command line prints as one message, without a traceback.

    Args:
        what: what happened, one sentence.
        expected: what would have been accepted.
        next_step: what to type or do next.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self, what: str, *, expected: str | None = None, next_step: str | None = None
    ) -> None:
        self.what = what
        self.expected = expected
        self.next_step = next_step
        lines = [what]
        if expected:
            lines.append(f"Expected: {expected}")
        if next_step:
            lines.append(f"Next: {next_step}")
        super().__init__("\n".join(lines))


class BadInput(EdgekitError):
    """A photo, prompt, folder or option cannot be used as given."""


class UnknownName(BadInput):
    """No model, target or image set has this name. The message suggests the nearest names."""


class CheckpointMismatch(BadInput):
    """A checkpoint's tensors do not fit the model, or the file is not a safe tensor file."""


class BundleCorrupt(BadInput):
    """A bundle has a changed, missing or path-escaping file, or a manifest that does not parse."""


class GraphRejected(EdgekitError):
    """A lowered graph breaks a rule of its target (operator, opset, shape)."""

    exit_code = 3


class NotYet(EdgekitError):
    """edgekit knows the name but does not implement it yet."""

    exit_code = 3


class RuntimeMissing(EdgekitError):
    """A package that this step needs is not installed, or has a version that does not fit."""

    exit_code = 3


class WeightsUnavailable(EdgekitError):
    """No checkpoint was found or could be downloaded."""

    exit_code = 3
