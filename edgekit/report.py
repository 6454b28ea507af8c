"""What a run tells its caller while it works: stages, progress and warnings."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class Report(Protocol):
    """Receives what happens. The command line shows it; a program may log it."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Enter when a stage begins and leave when it ends."""

    def progress(self, done: int, total: int | None) -> None:
        """Count steps (or bytes) of the current stage; `total` is None if it is not known."""

    def warning(self, text: str) -> None:
        """Pass on something the user must not overlook, such as stand-in weights."""


class _Silent:
    def stage(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def progress(self, done: int, total: int | None) -> None:
        pass

    def warning(self, text: str) -> None:
        pass


SILENT: Final[Report] = _Silent()
"""The default of every library function: says nothing, drops warnings too.

A bundle's manifest keeps the warning about its weights (`manifest.weights.warning`)."""
