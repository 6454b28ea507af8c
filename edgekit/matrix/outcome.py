"""From the steps of a cell to its result: which state it is in, and why."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from edgekit.errors import EdgekitError
from edgekit.matrix.cells import Cell, Identity, Step, StepRun
from edgekit.matrix.prompts import closeup_of, prompts_of
from edgekit.matrix.results import Result, Scores
from edgekit.matrix.states import State
from edgekit.stages.measurement import Bench
from edgekit.store import Malformed, record_from_json
from edgekit.verification import Judgement
from edgekit.version import __version__

T = TypeVar("T")

_REFUSALS = frozenset({"GraphRejected", "NotYet"})
"""The errors by which edgekit declines to make a bundle, as opposed to being unable to."""

_LONGEST = 600
_LONGEST_LOG = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exported:
    """One target of `edgekit export --json`."""

    bytes: int | None = None
    error: str | None = None
    error_kind: str | None = None


def result_of(
    cell: Cell, identity: Identity, *, started: datetime, runs: Sequence[StepRun]
) -> Result:
    """The result of a cell whose steps have ended."""
    by_name = {run.step.name: run for run in runs}
    exported = _exported(by_name["export"])
    verify = by_name.get("verify")
    verdict = _document(Judgement, verify)
    state, reason = _state(runs, exported, verdict)
    return Result(
        cell=cell,
        identity=identity,
        state=state,
        reason=reason,
        started=started.isoformat(timespec="seconds"),
        seconds=round(sum(run.step.seconds for run in runs), 2),
        edgekit=__version__,
        steps=tuple(replace(run.step, log=run.step.log[-_LONGEST_LOG:]) for run in runs),
        bundle_bytes=exported.bytes,
        verdict=verdict,
        prompts=prompts_of(verify.document) if verify else None,
        bench=_document(Bench, by_name.get("bench")),
        scores=_document(Scores, by_name.get("evaluate")),
    )


def picture_of(runs: Sequence[StepRun]) -> bytes | None:
    """The close-up of the worst prompt, a JPEG; None if `verify` gave none."""
    documents = (run.document for run in runs if run.step.name == "verify")
    return next(filter(None, map(closeup_of, documents)), None)


def result_without_host(
    cell: Cell, identity: Identity, *, started: datetime, error: EdgekitError
) -> Result:
    """The result of a cell whose machine could not be used."""
    return Result(
        cell=cell,
        identity=identity,
        state=State.COULD_NOT_RUN,
        reason=str(error),
        started=started.isoformat(timespec="seconds"),
        seconds=0.0,
        edgekit=__version__,
        steps=(),
    )


def _state(
    runs: Sequence[StepRun], exported: _Exported, verdict: Judgement | None
) -> tuple[State, str | None]:
    """The first thing that went wrong decides; times are not needed for a verdict."""
    ended = {run.step.name: run.step for run in runs}
    if (export := ended["export"]).exit_code != 0:
        refused = exported.error_kind in _REFUSALS
        return (State.REFUSED, exported.error) if refused else _broken(export, exported.error)
    if verdict is None or verdict.how == "not run":
        return _broken(runs[-1].step, verdict.reason if verdict else None)
    if not verdict.passed:
        return State.GATE_FAILED, "; ".join(verdict.failures)
    native = verdict.how == "native"
    return (State.PASSED_NATIVE if native else State.PASSED_EMULATED), None


def _broken(step: Step, told: str | None) -> tuple[State, str]:
    """A step that was stopped, or that ended without a result."""
    if step.stopped == "time":
        return State.TIMED_OUT, f"{step.name} was stopped after {step.seconds:.0f} s"
    if step.stopped == "memory":
        held = f"{step.peak_bytes / 1e9:.1f} GB"
        return State.COULD_NOT_RUN, f"{step.name} was stopped when it held {held} of memory"
    ended = f"{step.name} ended with {_exit_text(step.exit_code)}"
    return State.COULD_NOT_RUN, told or last_error(step.log) or ended


def _exit_text(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "signal 9, by which the system ends a process when memory runs out"
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def last_error(log: str) -> str:
    """What a command said last: its error, or else its last line; one line."""
    text = log[log.rfind("error: ") :] if "\nerror: " in f"\n{log}" else log.strip()
    lines = text.splitlines() if text.startswith("error: ") else text.splitlines()[-1:]
    return " ".join(line.strip() for line in lines)[:_LONGEST]


def _exported(run: StepRun) -> _Exported:
    found = _document(tuple[_Exported], run)
    return found[0] if found else _Exported()


def _document(kind: type[T], run: StepRun | None) -> T | None:
    """What a step printed; None if it printed nothing that reads so."""
    if run is None or not run.document.strip():
        return None
    try:
        return record_from_json(kind, run.document.encode(), unknown_keys="ignore")
    except Malformed:
        return None
