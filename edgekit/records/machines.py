"""What can run on this machine, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["native", "emulated", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a runtime's artifacts run on this machine: natively, by a stand-in, or not at all.

    `reason` says why it is not `native`.
    """

    how: How
    reason: str | None = None


NATIVE = Execution(how="native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a backend finds on this machine. `reason` is set when it is not available."""

    available: bool
    version: str | None = None
    reason: str | None = None
