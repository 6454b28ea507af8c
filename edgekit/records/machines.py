"""How files run on a machine, and whether it has a runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["native", "emulated", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a target's files run on this machine.

    `by` names the stand-in ("ONNX Runtime 1.24.1") if `how` is "emulated". `reason` says why `how`
    is not "native".
    """

    how: How
    by: str | None = None
    reason: str | None = None

    @property
    def label(self) -> str:
        """The text for tables: "native", "emulated by ONNX Runtime 1.24.1" or "not run"."""
        return f"{self.how} by {self.by}" if self.by else self.how


NATIVE = Execution(how="native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Whether this machine has a runtime; if not, `reason` says why."""

    available: bool
    version: str | None = None
    reason: str | None = None
